#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include <molink/types.h>

namespace molink {

/// A question to the searches: values of stages and links, put together by their sum or by their
/// maximum; the least is wanted, infinity is not permitted.
struct SearchPass {
    enum class Combine { sum, largest };
    /// Where a stage stands: first or not, last or not.
    static constexpr std::size_t kRoles = 4;
    static constexpr std::size_t role(bool first, bool last) {
        return (first ? 1u : 0u) + (last ? 2u : 0u);
    }

    Combine combine = Combine::sum;
    std::size_t nodes = 0;
    std::int32_t layers = 0;
    std::vector<double> stage;  ///< [nodes, kRoles, layers + 1]
    std::vector<double> link;   ///< [nodes, nodes]
    std::vector<double> enter;  ///< [nodes] from the head, when first
    std::vector<double> leave;  ///< [nodes] to the head, when last
    /// [nodes, nodes] from the last to the first, in the place of `leave`; or empty.
    std::vector<double> back;
    std::vector<std::optional<LayerRange>> fixed;  ///< [nodes]

    const double* stage_row(std::size_t node, std::size_t role) const {
        return &stage[(node * kRoles + role) * (static_cast<std::size_t>(layers) + 1)];
    }
    double neutral() const {
        return combine == Combine::sum ? 0 : -std::numeric_limits<double>::infinity();
    }
    double join(double a, double b) const {
        return combine == Combine::sum ? a + b : (a < b ? b : a);
    }
};

struct SplitStage {
    std::size_t node = 0;
    LayerRange layers;
};

/// What a search found; no stages when there is nothing permitted.
struct Split {
    double value = std::numeric_limits<double>::infinity();
    std::vector<SplitStage> stages;
};

/// Can search_orders be asked? Its tables grow with 2^nodes and its work with layers^2, too; 10
/// nodes and 160 layers are the limit.
bool orders_can_be_searched(std::size_t nodes, std::int32_t layers);

/// The best over all contiguous splits of all layers over the nodes of `order`, in this order;
/// those that are not `required` [nodes of the pass] may be left out. Exact: a dynamic programme,
/// O(nodes^2 layers + nodes layers^2); with a way back to the first once for every first node.
Split search_order(const SearchPass& pass, const std::vector<std::size_t>& order,
                   const std::vector<bool>& required);

/// The best over all choices of nodes, all their orders and all splits; sets are bit masks over the
/// nodes of the pass, see orders_can_be_searched. Exact: a dynamic programme over (set, last node,
/// layers placed), O(2^nodes nodes (nodes layers + layers^2)); with a way back to the first half of
/// it for every first node. Among equals the fewest nodes.
struct OrderRules {
    std::uint32_t usable = 0;           ///< the others stay out
    std::uint32_t required = 0;         ///< these must not stay out
    std::optional<std::size_t> pinned;  ///< this one is first
};
Split search_orders(const SearchPass& pass, const OrderRules& rules);

}  // namespace molink
