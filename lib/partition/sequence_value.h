#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "partition/split_choice.h"

namespace molink {

/// How good a sequence of nodes is when each of them holds at least one layer; less is better.
struct SequenceValue {
    double deficit = 0;    ///< layers that find no place; 0: it works
    double main_us = 0;    ///< what the objective minimises
    double ring_us = 0;    ///< way round the ring, links alone for `throughput`
    bool by_link = false;  ///< main_us is a link's

    friend bool operator<(const SequenceValue& a, const SequenceValue& b) {
        if (a.deficit != b.deficit) return a.deficit < b.deficit;
        if (a.main_us != b.main_us) return a.main_us < b.main_us;
        return a.ring_us < b.ring_us;
    }
};

/// Values sequences in O(nodes + layers log nodes): layers are alike, so dealing them out one by
/// one to the node that is hurt least is exact between two overrides.
class SequenceValuer {
public:
    explicit SequenceValuer(const SplitProblem& problem);

    SequenceValue value(const std::vector<std::size_t>& sequence);
    /// Sequences valued so far.
    std::int64_t count() const { return count_; }

private:
    struct Filler {
        double layer_us = 0;
        double base_us = 0;
        std::int32_t layers = 0;
        std::int32_t most = 0;
    };

    bool add_fixed(std::size_t node, SequenceValue& value) const;
    void fill_gap(std::int32_t gap, SequenceValue& value);
    double stage_us(std::size_t node, LayerRange layers) const;
    void add_links(const std::vector<std::size_t>& sequence, SequenceValue& value) const;

    const SplitProblem& problem_;
    bool latency_;
    bool head_first_;
    std::vector<std::int32_t> most_layers_;  // [nodes, roles]
    std::vector<double> layer_us_;           // [nodes]
    std::vector<double> head_us_;            // [nodes]
    std::vector<Filler> gap_;                // free nodes since the last override
    std::int64_t count_ = 0;
};

}  // namespace molink
