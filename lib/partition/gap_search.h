#pragma once

#include <cstdint>
#include <vector>

#include "partition/split_choice.h"

namespace molink {

/// How well the layers of a gap can be dealt out to nodes.
struct GapValue {
    double deficit = 0;  ///< layers that find no place; 0: all of them do
    double main_us = 0;  ///< the slowest stage (`throughput`) or the sum of all (`latency`)
};

/// A deficit that is larger than any number of layers: some node has no place.
inline constexpr double kHopeless = 1e9;

/// Splits the layers of a gap, those between two overrides, over nodes in a given order, where
/// every node takes at least one layer and layers may differ. Exact: a dynamic programme with one
/// queue per node, O(nodes layers log layers).
class GapSearch {
public:
    /// `problem` must outlive this object.
    explicit GapSearch(const SplitProblem& problem);

    /// The best split of `gap` over `nodes`. When none stays within a finite `limit_us`, main_us is
    /// infinite and deficit says nothing.
    GapValue search(LayerRange gap, const std::vector<std::size_t>& nodes, double limit_us);

private:
    struct Start {
        std::int32_t layer = 0;
        double key = 0;  // of two starts, the later one is better while its key is not larger
    };

    LayerRange place(std::size_t node, LayerRange band, std::int32_t gap_end, double limit_us);
    void add_start(std::size_t node, std::int32_t layer);
    void drop_starts(std::size_t node, std::int32_t end, double limit_us);
    double best_value(std::size_t node, std::int32_t end) const;
    double stage_us(std::size_t node, LayerRange layers) const;

    const SplitProblem& problem_;
    bool latency_;
    std::vector<StageRate> rates_;        // [nodes]
    std::vector<std::int32_t> earliest_;  // [nodes, layers + 1] first layer that fits, by the end
    std::vector<double> before_;          // [layers + 1], by the layers that are placed
    std::vector<double> after_;           // [layers + 1], the same with one node more
    std::vector<Start> starts_;           // where the stage of a node may begin; keys rise
    std::size_t first_ = 0;               // of starts_; those before it are too far back
};

}  // namespace molink
