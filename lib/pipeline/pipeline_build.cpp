// Builds a pipeline as a state machine over messages. It is separate from the head node, so that
// every order of arrivals can be tested without links. Relies on the caller to drop messages of
// other epochs.
#include "pipeline/pipeline_build.h"

#include <algorithm>

#include "base/error.h"

namespace molink {

void PipelineBuild::begin(PipelineEpoch epoch, const Ring& ring, std::uint64_t max_kv_blocks) {
    epoch_ = epoch;
    stages_.clear();
    for (const RingStage& stage : ring.stages()) stages_.push_back({stage.node, false, false});
    kv_blocks_ = max_kv_blocks;
}

PipelineBuild::Stage* PipelineBuild::find(NodeId node) {
    const auto found = std::find_if(stages_.begin(), stages_.end(),
                                    [&](const Stage& stage) { return stage.node == node; });
    return found == stages_.end() ? nullptr : &*found;
}

Result<bool> PipelineBuild::on_loaded(NodeId node, const StageLoaded& loaded) {
    Stage* stage = find(node);
    if (stage == nullptr || loaded.epoch != epoch_ || stage->loaded) {
        return make_error(StatusCode::data_loss,
                          "node {} reported a loaded stage twice, or was not asked to load one",
                          node.value);
    }
    if (loaded.kv_block_capacity == 0) {
        return make_error(StatusCode::resource_exhausted,
                          "node {} has no room for a single KV block beside its weights",
                          node.value);
    }
    stage->loaded = true;
    kv_blocks_ = std::min(kv_blocks_, loaded.kv_block_capacity);
    return std::all_of(stages_.begin(), stages_.end(),
                       [](const Stage& record) { return record.loaded; });
}

Result<bool> PipelineBuild::on_ready(NodeId node, const StageReady& ready) {
    Stage* stage = find(node);
    if (stage == nullptr || ready.epoch != epoch_ || !stage->loaded || stage->ready) {
        return make_error(StatusCode::data_loss,
                          "node {} reported a ready stage twice, or was not asked to start one",
                          node.value);
    }
    stage->ready = true;
    return std::all_of(stages_.begin(), stages_.end(),
                       [](const Stage& record) { return record.ready; });
}

}  // namespace molink
