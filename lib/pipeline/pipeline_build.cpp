// Bringing a pipeline up, as a state machine over messages. Kept apart from the head node so that
// every order of arrivals can be tested without links. Relies on messages of other epochs being
// filtered out by the caller.
#include "pipeline/pipeline_build.h"

#include <algorithm>

#include "base/error.h"

namespace molink {

void PipelineBuild::begin(Epoch epoch, const PartitionPlan& plan, std::vector<Assign> assigns) {
    epoch_ = epoch;
    stages_.clear();
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
        StageRecord record;
        record.plan = plan.stages[i];
        record.assign = std::move(assigns[i]);
        stages_.push_back(std::move(record));
    }
}

const StageRecord* PipelineBuild::find(NodeId node) const {
    const auto found = std::find_if(stages_.begin(), stages_.end(), [&](const StageRecord& stage) {
        return stage.plan.node == node;
    });
    return found == stages_.end() ? nullptr : &*found;
}

StageRecord* PipelineBuild::find_mutable(NodeId node) {
    return const_cast<StageRecord*>(find(node));
}

NodeId PipelineBuild::sampler() const {
    const StageRecord& front = stages_.front();
    return front.plan.has_head ? front.plan.node : stages_.back().plan.node;
}

NodeId PipelineBuild::next_of(NodeId node) const {
    for (std::size_t i = 0; i + 1 < stages_.size(); ++i) {
        if (stages_[i].plan.node == node) return stages_[i + 1].plan.node;
    }
    if (stages_.size() < 2) return NodeId(0);
    const bool ring = stages_.back().assign.direct_feedback || stages_.front().plan.has_head;
    return ring ? first() : NodeId(0);
}

Result<bool> PipelineBuild::on_loaded(NodeId node, const StageLoaded& loaded) {
    StageRecord* stage = find_mutable(node);
    if (stage == nullptr || loaded.epoch != epoch_ || stage->loaded) {
        return make_error(StatusCode::data_loss, "node {} reports a loaded stage twice or unasked",
                          node.value);
    }
    if (loaded.kv_block_capacity == 0) {
        return make_error(StatusCode::resource_exhausted,
                          "node {} has no room for a single KV block beside its weights",
                          node.value);
    }
    stage->loaded = true;
    stage->kv_block_capacity = loaded.kv_block_capacity;
    return std::all_of(stages_.begin(), stages_.end(),
                       [](const StageRecord& record) { return record.loaded; });
}

Result<bool> PipelineBuild::on_ready(NodeId node, const StageReady& ready) {
    StageRecord* stage = find_mutable(node);
    if (stage == nullptr || ready.epoch != epoch_ || !stage->loaded || stage->ready) {
        return make_error(StatusCode::data_loss, "node {} reports a ready stage twice or unasked",
                          node.value);
    }
    stage->ready = true;
    return std::all_of(stages_.begin(), stages_.end(),
                       [](const StageRecord& record) { return record.ready; });
}

std::uint64_t PipelineBuild::kv_blocks() const {
    std::uint64_t blocks = stages_.empty() ? 0 : stages_.front().assign.max_kv_blocks;
    for (const StageRecord& stage : stages_) blocks = std::min(blocks, stage.kv_block_capacity);
    return blocks;
}

}  // namespace molink
