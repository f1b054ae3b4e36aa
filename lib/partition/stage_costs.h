#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <molink/partitioner.h>

#include "kv/capacity.h"
#include "ring/ring.h"

namespace molink {

/// `input` with the place of the LM head decided.
PartitionInput with_lm_head(const PartitionInput& input, bool first);

/// The ring of a plan with `stages` stages, once the place of the LM head is decided. Plans count
/// tokens that are fed back to the first stage as tokens that go to the head.
RingShape planned_ring(const PartitionInput& input, std::size_t stages);

/// Times of the stages of one node for one number of rows. They are linear in the cost of the
/// layers, which is relative to the layer that the node measured.
struct StageRate {
    double decode_layer_us = 0;  ///< the measured layer, one row
    double lm_head_us = 0;       ///< one row
    double batch_factor = 1;     ///< time of a decode micro-batch of all rows over that of one row
    double rows = 1;
    double prompt_rows = 0;    ///< rows of prompts for each row of output
    double prompt_row_us = 0;  ///< the measured layer, one row of a slice

    /// A decode micro-batch.
    double decode_us(double decode_cost, bool has_lm_head) const {
        return (decode_cost * decode_layer_us + (has_lm_head ? lm_head_us : 0)) * batch_factor;
    }
    /// A decode micro-batch and the rows of prompts that the workload has for it.
    double work_us(double decode_cost, double prefill_cost, bool has_lm_head) const {
        return decode_us(decode_cost, has_lm_head) +
               prefill_cost * rows * prompt_rows * prompt_row_us;
    }
};

/// Memory and predicted times of the stages of one input, each in constant time: they are
/// differences of sums over the first layers. Where the LM head is follows from input.lm_head: only
/// `first` puts it on the first stage. Nodes are indices into input.nodes.
class StageCosts {
public:
    /// `input` must outlive this object.
    explicit StageCosts(const PartitionInput& input);

    /// Whether a stage with these layers holds the LM head.
    bool has_lm_head(LayerRange layers) const;

    double decode_cost(LayerRange layers) const;
    double prefill_cost(LayerRange layers) const;

    /// The first layer brings the embedding, the first or the last one the LM head.
    StageMemory memory(std::size_t node, LayerRange layers) const;
    /// KV blocks that fit, see kv_capacity().
    std::int64_t kv_blocks(std::size_t node, LayerRange layers) const;
    /// Whether min_blocks KV blocks fit.
    bool fits(std::size_t node, LayerRange layers) const;
    /// Whether the node may hold exactly these layers: they fit, and its override permits them.
    bool permitted(std::size_t node, LayerRange layers) const;

    StageRate rate(std::size_t node, double rows) const;
    /// A decode micro-batch. One row takes what was measured; further rows take what was measured
    /// for them, or else what a row of a long slice takes; the LM head grows in proportion.
    double decode_us(std::size_t node, LayerRange layers, double rows) const;
    /// A slice of a prompt, with the LM head for one row.
    double slice_us(std::size_t node, LayerRange layers, double rows) const;
    /// What the stage does for `rows` tokens of output: their decode micro-batch, and as many rows
    /// of prompts, which need no LM head, as the workload has for them.
    double work_us(std::size_t node, LayerRange layers, double rows) const;

private:
    struct Sums {
        std::int64_t weight_bytes = 0;
        std::int64_t kv_block_bytes = 0;
        std::int64_t state_bytes = 0;
        double decode_cost = 0;
        double prefill_cost = 0;
    };
    const Sums& before(std::int32_t layer) const { return sums_[static_cast<std::size_t>(layer)]; }

    const PartitionInput& input_;
    std::vector<Sums> sums_;  // [layers + 1], of the layers before
};

/// Time to put `bytes` on a link, us; 0 when its rate is unknown.
double link_us(const LinkModel& link, double bytes);

/// Time on a link of the ring for `rows` tokens of output and their prompts, us. A prompt sends all
/// of its rows between stages and one row to an LM head on the first stage. Tokens count as
/// nothing.
double link_work_us(const PartitionInput& input, const LinkModel& link, double rows,
                    LinkCargo cargo);

/// Links between the nodes of an input, and between each and the head.
class LinkTable {
public:
    explicit LinkTable(const PartitionInput& input);

    const LinkModel& between(std::size_t from, std::size_t to) const {
        return links_[from * width_ + to];
    }
    const LinkModel& from_head(std::size_t to) const { return between(head_, to); }
    const LinkModel& to_head(std::size_t from) const { return between(from, head_); }

private:
    std::size_t width_;  // the nodes, and the head when it is none of them
    std::size_t head_;
    std::vector<LinkModel> links_;  // [width, width]
};

/// One row of a sequence alone, us, delay included: over the link between two stages; from the head
/// to the first stage; from the last stage to the head.
double hop_us(const PartitionInput& input, const LinkTable& links, std::size_t from,
              std::size_t to);
double enter_us(const PartitionInput& input, const LinkTable& links, std::size_t first);
double leave_us(const PartitionInput& input, const LinkTable& links, std::size_t last);

/// From the last stage until the head has the token, us: over the first stage when the LM head is
/// there, whose own time is not counted. `ring` is that of the plan.
double return_us(const PartitionInput& input, const LinkTable& links, const RingShape& ring,
                 std::size_t last, std::size_t first);

}  // namespace molink
