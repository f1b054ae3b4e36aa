#pragma once

#include <cstdint>
#include <vector>

#include "partition/split_choice.h"

namespace molink {

/// How well the layers of a gap can be split over nodes.
struct GapValue {
    double deficit = 0;  ///< layers without a node, or nodes without a layer; 0: a split exists
    double main_us = 0;  ///< time of the slowest stage (`throughput`) or sum of all (`latency`)
};

/// A deficit above any number of layers: a node cannot hold a stage at all.
inline constexpr double kHopeless = 1e9;

/// Splits the layers of a gap, which lies between two overrides, over nodes in a given order. Every
/// node takes at least one layer, and layers may differ. Exact: a dynamic programme with one queue
/// per node, O(nodes layers log layers).
class GapSearch {
public:
    /// `problem` must outlive this object.
    explicit GapSearch(const SplitProblem& problem);

    /// Returns the value of the best split of `gap` over `nodes`. With a finite `limit_us`, an
    /// infinite main_us means that no split stays within the limit; the deficit is then unknown.
    GapValue search(LayerRange gap, const std::vector<std::size_t>& nodes, double limit_us);

private:
    struct Start {
        std::int32_t layer = 0;
        double key = 0;  // a start is useless when a later one has no larger key
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
    std::vector<double> before_;          // [layers + 1] best value, by the end of the last stage
    std::vector<double> after_;           // [layers + 1], the same after one more node
    std::vector<Start> starts_;           // where the stage of a node may begin; keys rise
    std::size_t first_ = 0;               // index into starts_; earlier starts are too early
};

}  // namespace molink
