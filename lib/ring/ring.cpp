// The topology of a pipeline: order, roles and directions. Everything follows from the number of
// stages and two flags, so no combination is contradictory. Relies on the partitioner to place the
// LM head on the last stage or, with tied embeddings, on the first.
#include "ring/ring.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/error.h"

namespace molink {

std::optional<std::size_t> RingShape::next(std::size_t stage) const {
    assert(stage < size_);
    if (!is_last(stage)) return stage + 1;
    if (size_ > 1 && (returns() || feeds_back_)) return 0;
    return std::nullopt;
}

std::optional<std::size_t> RingShape::previous(std::size_t stage) const {
    assert(stage < size_);
    if (stage > 0) return stage - 1;
    if (next(last_stage()) == std::optional<std::size_t>(0)) return last_stage();
    return std::nullopt;
}

LinkCargo RingShape::cargo(std::size_t stage) const {
    assert(stage < size_);
    if (!is_last(stage)) return LinkCargo::activations;
    return returns() ? LinkCargo::sampled_rows : LinkCargo::tokens;
}

namespace {

Status check_stages(std::span<const RingStage> stages) {
    if (stages.empty()) return invalid_argument("the ring has no stages");
    std::int32_t next_layer = 0;
    for (std::size_t i = 0; i < stages.size(); ++i) {
        const RingStage& stage = stages[i];
        if (stage.layers.begin != next_layer || stage.layers.empty()) {
            return invalid_argument(
                "stage {} of the ring has layers [{}, {}); one or more layers from {} on are "
                "needed",
                i, stage.layers.begin, stage.layers.end, next_layer);
        }
        next_layer = stage.layers.end;
        const bool twice =
            std::any_of(stages.begin(), stages.begin() + static_cast<std::ptrdiff_t>(i),
                        [&](const RingStage& other) { return other.node == stage.node; });
        if (twice)
            return invalid_argument("node {} holds two stages of the ring", stage.node.value);
    }
    return {};
}

}  // namespace

Result<Ring> Ring::make(std::vector<RingStage> stages, bool lm_head_first, bool feeds_back) {
    MOLINK_RETURN_IF_ERROR(check_stages(stages));
    Ring ring;
    ring.shape_ = RingShape(stages.size(), lm_head_first, feeds_back);
    ring.stages_ = std::move(stages);
    return ring;
}

std::optional<std::size_t> Ring::find(NodeId node) const {
    const auto found = std::find_if(stages_.begin(), stages_.end(),
                                    [&](const RingStage& stage) { return stage.node == node; });
    if (found == stages_.end()) return std::nullopt;
    return static_cast<std::size_t>(found - stages_.begin());
}

const RingStage* Ring::next(std::size_t index) const {
    const auto next = shape_.next(index);
    return next ? &stages_[*next] : nullptr;
}

}  // namespace molink
