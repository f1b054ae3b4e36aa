#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include <molink/types.h>

namespace molink {

/// What stages are worth in a pass.
class StageValues {
public:
    virtual ~StageValues() = default;
    /// Writes to out[end] the value of a stage of `node` with the layers [begin, end), for every
    /// end from begin + 1 to the one returned. No longer range is permitted; none at all is when
    /// `begin` is returned. `out` has room for layers + 1 values.
    virtual std::int32_t fill(std::size_t node, std::int32_t begin, double* out) const = 0;
};

/// A question to the searches: values of stages and links, combined by their sum or by their
/// maximum. The least is wanted; infinity is not permitted.
struct SearchPass {
    enum class Combine { sum, largest };

    Combine combine = Combine::sum;
    std::size_t nodes = 0;
    std::int32_t layers = 0;
    std::shared_ptr<const StageValues> stages;
    std::vector<double> link;   ///< [nodes, nodes]
    std::vector<double> enter;  ///< [nodes] from the head to the first node
    std::vector<double> leave;  ///< [nodes] from the last node to the head
    /// [nodes, nodes] from the last node to the first, instead of `leave`; or empty.
    std::vector<double> back;
    std::vector<std::optional<LayerRange>> fixed;  ///< [nodes]

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

/// What a search found; no stages when nothing is permitted.
struct Split {
    double value = std::numeric_limits<double>::infinity();
    std::vector<SplitStage> stages;
};

/// Whether search_orders() may be asked: its tables grow with 2^nodes, its work also with layers^2.
/// The limit is the work of 10 nodes and 160 layers.
bool orders_can_be_searched(std::size_t nodes, std::int32_t layers);

/// The best over all contiguous splits of all layers over the nodes of `order`, in this order.
/// Nodes that are not `required` [nodes of the pass] may be left out. Exact: a dynamic programme,
/// O(nodes^2 layers + nodes layers^2); with a way back to the first node that once for every first
/// node.
Split search_order(const SearchPass& pass, const std::vector<std::size_t>& order,
                   const std::vector<bool>& required);

/// Which nodes search_orders() may use; sets are bit masks over the nodes of the pass.
struct OrderRules {
    std::uint32_t usable = 0;           ///< the others stay out
    std::uint32_t required = 0;         ///< these must not stay out
    std::optional<std::size_t> pinned;  ///< this one is first
};

/// The best over all choices of nodes, all their orders and all splits. Among equals the one with
/// the fewest nodes. Exact: a dynamic programme over (set, last node, layers placed),
/// O(2^nodes nodes (nodes layers + layers^2)); with a way back to the first node half of that for
/// every first node.
Split search_orders(const SearchPass& pass, const OrderRules& rules);

}  // namespace molink
