#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include <molink/types.h>

namespace molink {

/// The value of what is not permitted, and a limit that permits everything.
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The values of stages in a pass.
class StageValues {
public:
    virtual ~StageValues() = default;
    /// Writes to out[end] the value of a stage of `node` with the layers [begin, end), for every
    /// end from begin + 1 to the returned end. Longer ranges are not permitted. Returns `begin`
    /// when no range is permitted. `out` has room for layers + 1 values.
    virtual std::int32_t fill(std::size_t node, std::int32_t begin, double* out) const = 0;
};

/// Input of a search: values of stages and links, combined by their sum or by their maximum. The
/// search minimises the result. A value of infinity forbids the link.
struct SearchPass {
    enum class Combine { sum, largest };

    Combine combine = Combine::sum;
    std::size_t nodes = 0;
    std::int32_t layers = 0;
    std::shared_ptr<const StageValues> stages;
    std::vector<double> link;   ///< [nodes, nodes]
    std::vector<double> enter;  ///< [nodes] from the head to the first node
    std::vector<double> leave;  ///< [nodes] from the last node to the head
    /// [nodes, nodes] from the last node to the first. Replaces `leave` unless it is empty.
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

/// The result of a search; without stages when no split is permitted.
struct Split {
    double value = std::numeric_limits<double>::infinity();
    std::vector<SplitStage> stages;
};

/// Returns whether search_orders() is cheap enough: its tables grow with 2^nodes, its work also
/// with layers^2. The limits are 10 nodes and the work of 10 nodes and 160 layers.
bool orders_can_be_searched(std::size_t nodes, std::int32_t layers);

/// Returns the best contiguous split of all layers over the nodes of `order`, in this order. Nodes
/// that are not `required` [nodes of the pass] may be left out. Exact: a dynamic programme,
/// O(nodes^2 layers + nodes layers^2). A pass with links back to the first node takes this work
/// once for every possible first node.
Split search_order(const SearchPass& pass, const std::vector<std::size_t>& order,
                   const std::vector<bool>& required);

/// Which nodes search_orders() may use; sets are bit masks over the nodes of the pass.
struct OrderRules {
    std::uint32_t usable = 0;           ///< nodes that may hold a stage
    std::uint32_t required = 0;         ///< nodes that must hold a stage
    std::optional<std::size_t> pinned;  ///< the node that must be first
};

/// Returns the best split over all choices of nodes and all their orders; among equals, a split
/// with the fewest nodes. Exact: the dynamic programme of Held and Karp over (set, last node) with
/// the number of placed layers as a third index, O(2^nodes nodes (nodes layers + layers^2)). A pass
/// with links back to the first node takes half of this work for every possible first node.
Split search_orders(const SearchPass& pass, const OrderRules& rules);

}  // namespace molink
