#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "partition/gap_search.h"
#include "partition/split_choice.h"

namespace molink {

/// The value of a sequence of nodes that each hold at least one layer; smaller is better.
struct SequenceValue {
    double deficit = 0;    ///< layers that fit nowhere, or nodes without a layer; 0: it works
    double main_us = 0;    ///< what the objective minimises
    double ring_us = 0;    ///< time round the ring on links only
    bool by_link = false;  ///< main_us is the time of a link

    friend bool operator<(const SequenceValue& a, const SequenceValue& b) {
        if (a.deficit != b.deficit) return a.deficit < b.deficit;
        if (a.main_us != b.main_us) return a.main_us < b.main_us;
        return a.ring_us < b.ring_us;
    }
};

/// Values sequences exactly. Identical layers are dealt out one by one, each to the node where it
/// costs least, in O(nodes + layers log nodes). Layers that differ need a GapSearch.
class SequenceValuer {
public:
    /// `problem` must outlive this object.
    explicit SequenceValuer(const SplitProblem& problem);

    /// Returns the value of `sequence`. When main_us would exceed a finite `limit_us`, the result
    /// is not exact: any main_us above the limit, and any deficit.
    SequenceValue value(const std::vector<std::size_t>& sequence,
                        double limit_us = std::numeric_limits<double>::infinity());
    /// Returns the number of sequences valued so far.
    std::int64_t count() const { return count_; }

private:
    /// Where a node stands in a sequence: first or not, last or not.
    static constexpr std::size_t kRoles = 4;
    static constexpr std::size_t role(bool first, bool last) {
        return (first ? 1u : 0u) + (last ? 2u : 0u);
    }
    struct LinkTimes {
        double ring_us = 0;     // time round the ring without the stages
        double slowest_us = 0;  // the slowest link; only for `throughput`
    };
    /// A node without an override and the layers of the current gap that it gets.
    struct Filler {
        std::size_t node = 0;
        double layer_us = 0;
        double base_us = 0;  // the LM head, if the node holds it
        std::int32_t layers = 0;
        std::int32_t most = 0;  // layers that fit
    };

    void measure_alike();
    std::int32_t most_layers(std::size_t node, std::size_t role) const;
    Filler filler_of(std::size_t node, bool first, bool last) const;
    void add_time(double stage_us, SequenceValue& value) const;
    bool add_fixed(std::size_t node, SequenceValue& value) const;
    void fill_gap(LayerRange gap, double limit_us, SequenceValue& value);
    void deal_alike(std::int32_t gap, SequenceValue& value);
    double stage_us(std::size_t node, LayerRange layers) const;
    void add_stages(const std::vector<std::size_t>& sequence, double limit_us,
                    SequenceValue& value);
    LinkTimes link_times(const std::vector<std::size_t>& sequence) const;

    const SplitProblem& problem_;
    bool latency_;
    bool lm_head_first_;
    std::optional<GapSearch> search_;        // only for layers that differ
    std::vector<std::int32_t> most_layers_;  // [nodes, roles], only for identical layers
    std::vector<double> layer_us_;           // [nodes], only for identical layers
    std::vector<double> lm_head_us_;         // [nodes], only for identical layers
    std::vector<Filler> gap_;                // nodes since the last override
    std::vector<std::size_t> gap_nodes_;     // the same nodes, as indices
    std::int64_t count_ = 0;
};

}  // namespace molink
