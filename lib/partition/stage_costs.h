#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <molink/partitioner.h>

#include "kv/capacity.h"
#include "ring/ring.h"

namespace molink {

/// Returns `input` with the LM head on the first or the last stage.
PartitionInput with_lm_head(const PartitionInput& input, bool first);

/// Returns the ring of a plan with `stages` stages. The place of the LM head must be decided. Plans
/// count tokens that are fed back to the first stage as tokens that go to the head.
RingShape planned_ring(const PartitionInput& input, std::size_t stages);

/// Times of the stages of one node for one number of rows. They are linear in the cost of the
/// layers, which is relative to the layer that the node measured (PartitionLayer).
struct StageRate {
    double decode_layer_us = 0;  ///< the measured layer, one row
    double lm_head_us = 0;       ///< one row
    double batch_factor = 1;  ///< time of a decode micro-batch of `rows` rows over that of one row
    double rows = 1;
    double prompt_rows = 0;    ///< prefill rows for each token of output
    double prompt_row_us = 0;  ///< the measured layer, one row of a slice

    /// Returns the time of a decode micro-batch.
    double decode_us(double decode_cost, bool has_lm_head) const {
        return (decode_cost * decode_layer_us + (has_lm_head ? lm_head_us : 0)) * batch_factor;
    }
    /// Returns the time of a decode micro-batch and of its share of the prefill rows.
    double work_us(double decode_cost, double prefill_cost, bool has_lm_head) const {
        return decode_us(decode_cost, has_lm_head) +
               prefill_cost * rows * prompt_rows * prompt_row_us;
    }
};

/// Memory and predicted times of the stages of one input. Each takes constant time, as a difference
/// of prefix sums over the layers. The LM head is on the first stage if input.lm_head is `first`,
/// and otherwise on the last. Nodes are indices into input.nodes.
class StageCosts {
public:
    /// `input` must outlive this object.
    explicit StageCosts(const PartitionInput& input);

    /// Returns whether a stage with these layers holds the LM head.
    bool has_lm_head(LayerRange layers) const;

    double decode_cost(LayerRange layers) const;
    double prefill_cost(LayerRange layers) const;

    /// Includes the embedding if the stage has layer 0, and the LM head if has_lm_head().
    StageMemory memory(std::size_t node, LayerRange layers) const;
    /// Returns the number of KV blocks that fit, see kv_capacity().
    std::int64_t kv_blocks(std::size_t node, LayerRange layers) const;
    /// Returns whether min_blocks KV blocks fit.
    bool fits(std::size_t node, LayerRange layers) const;
    /// Returns whether the node may hold exactly these layers: they fit, and its override permits
    /// them.
    bool permitted(std::size_t node, LayerRange layers) const;

    StageRate rate(std::size_t node, double rows) const;
    /// Returns the time of a decode micro-batch. The first row takes the measured time. Each
    /// further row adds the time that was measured for it, or else that of a row of a long slice.
    /// The LM head grows in proportion.
    double decode_us(std::size_t node, LayerRange layers, double rows) const;
    /// Returns the time of a slice of a prompt, with the LM head for one row.
    double slice_us(std::size_t node, LayerRange layers, double rows) const;
    /// Returns the time for `rows` tokens of output: their decode micro-batch and their share of
    /// the workload's prefill rows, which need no LM head.
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
    std::vector<Sums> sums_;  // [layers + 1], sums over the layers before
};

/// Returns the time to put `bytes` on a link, us; 0 when its rate is unknown.
double link_us(const LinkModel& link, double bytes);

/// Returns the time on a link of the ring for `rows` tokens of output and their prompts, us. A
/// prompt sends all of its rows between stages, but only one row back to an LM head on the first
/// stage. Tokens take no time.
double link_work_us(const PartitionInput& input, const LinkModel& link, double rows,
                    LinkCargo cargo);

/// Links between the nodes of an input, and between each node and the head. Links that are not
/// listed have no delay and no limit.
class LinkTable {
public:
    explicit LinkTable(const PartitionInput& input);

    const LinkModel& between(std::size_t from, std::size_t to) const {
        return links_[from * width_ + to];
    }
    const LinkModel& from_head(std::size_t to) const { return between(head_, to); }
    const LinkModel& to_head(std::size_t from) const { return between(from, head_); }

private:
    std::size_t width_;  // number of nodes, plus one unless the head is one of them
    std::size_t head_;
    std::vector<LinkModel> links_;  // [width, width]
};

/// Returns the time of one row of one sequence with the delay of the link, us. hop_us() is for the
/// link between two stages, enter_us() from the head to the first stage, and leave_us() from the
/// last stage to the head.
double hop_us(const PartitionInput& input, const LinkTable& links, std::size_t from,
              std::size_t to);
double enter_us(const PartitionInput& input, const LinkTable& links, std::size_t first);
double leave_us(const PartitionInput& input, const LinkTable& links, std::size_t last);

/// Returns the time from the last stage until the head has the token, us. With the LM head on the
/// first stage the row goes through that stage, whose computing time is not counted. `ring` is the
/// ring of the plan.
double return_us(const PartitionInput& input, const LinkTable& links, const RingShape& ring,
                 std::size_t last, std::size_t first);

}  // namespace molink
