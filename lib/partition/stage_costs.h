#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <molink/partitioner.h>

namespace molink {

// Where the LM head is follows from input.lm_head here: only `first` puts it on the first stage.

/// `input` with the place of the LM head decided.
PartitionInput with_lm_head(const PartitionInput& input, bool first);

/// Do `layers` bring the LM head?
bool stage_has_head(const PartitionInput& input, LayerRange layers);

/// Weight bytes that node `index` of `input` holds with `layers`; the first layer brings the
/// embedding, the first or the last one the LM head.
std::int64_t stage_weight_bytes(const PartitionInput& input, std::size_t index, LayerRange layers);

/// KV blocks that fit beside the weights and the workspace, at most those of use; negative when not
/// even weights and workspace fit.
std::int64_t stage_kv_blocks(const PartitionInput& input, std::size_t index, LayerRange layers);

/// May node `index` hold exactly `layers`: memory and its override?
bool stage_permitted(const PartitionInput& input, std::size_t index, LayerRange layers);

/// Predicted time of a decode micro-batch on the stage, us. One row costs what was measured; more
/// rows cost what was measured for them, or else what a row of a long slice does, for the LM head
/// in proportion.
double stage_decode_us(const PartitionInput& input, std::size_t index, LayerRange layers,
                       double rows);

/// Predicted time of a slice of a prompt on the stage, us, the LM head for one row included.
double stage_slice_us(const PartitionInput& input, std::size_t index, LayerRange layers,
                      double rows);

/// What the stage does for `rows` tokens of output, us: their decode micro-batch, and as many rows
/// of prompts, without LM head, as the workload has for them.
double stage_work_us(const PartitionInput& input, std::size_t index, LayerRange layers,
                     double rows);

/// Time for `bytes` to enter a link, us; 0 when its rate is unknown.
double link_us(const LinkModel& link, double bytes);

/// What the link between two stages carries for `rows` tokens of output and their prompts, us. On
/// the way `back` to an LM head on the first stage a prompt is one row.
double link_work_us(const PartitionInput& input, const LinkModel& link, double rows, bool back);

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

/// One row of a sequence alone, us: over the link between two stages; from the head to the first
/// stage; from the last stage to the head.
double hop_us(const PartitionInput& input, const LinkTable& links, std::size_t from,
              std::size_t to);
double enter_us(const PartitionInput& input, const LinkTable& links, std::size_t first);
double leave_us(const PartitionInput& input, const LinkTable& links, std::size_t last);

/// From the last stage until the head has the token, us, over the first stage when the LM head is
/// there; but for its own time.
double return_us(const PartitionInput& input, const LinkTable& links, std::size_t last,
                 std::size_t first);

}  // namespace molink
