// Builds a pipeline as a state machine over messages. It is separate from the head node, so that
// every order of arrivals can be tested without links. Relies on the caller to drop messages of
// other epochs.
#include "pipeline/pipeline_build.h"

#include <algorithm>

#include "base/error.h"

namespace molink {

void PipelineBuild::begin(PipelineEpoch epoch, const Ring& ring, std::uint64_t min_kv_blocks,
                          std::uint64_t max_kv_blocks) {
    epoch_ = epoch;
    stages_.clear();
    for (const RingStage& stage : ring.stages()) stages_.push_back({stage.node, false, false});
    min_kv_blocks_ = std::max<std::uint64_t>(min_kv_blocks, 1);
    kv_blocks_ = max_kv_blocks;
}

PipelineBuild::Stage* PipelineBuild::find(PipelineEpoch epoch, std::uint32_t stage_index) {
    return epoch == epoch_ && stage_index < stages_.size() ? &stages_[stage_index] : nullptr;
}

Result<bool> PipelineBuild::on_loaded(const StageLoaded& loaded) {
    Stage* stage = find(loaded.epoch, loaded.stage_index);
    if (stage == nullptr || stage->loaded) {
        return make_error(StatusCode::data_loss,
                          "stage {} was reported as loaded twice, or nobody was asked to load it",
                          loaded.stage_index);
    }
    if (loaded.kv_block_capacity < min_kv_blocks_) {
        return make_error(StatusCode::resource_exhausted,
                          "stage {} says that it has room for {} KV block{} beside its weights; a "
                          "pipeline needs at least {}",
                          loaded.stage_index, loaded.kv_block_capacity,
                          loaded.kv_block_capacity == 1 ? "" : "s", min_kv_blocks_);
    }
    stage->loaded = true;
    kv_blocks_ = std::min(kv_blocks_, loaded.kv_block_capacity);
    return std::all_of(stages_.begin(), stages_.end(),
                       [](const Stage& record) { return record.loaded; });
}

Result<bool> PipelineBuild::on_ready(const StageReady& ready) {
    Stage* stage = find(ready.epoch, ready.stage_index);
    if (stage == nullptr || !stage->loaded || stage->ready) {
        return make_error(StatusCode::data_loss,
                          "stage {} was reported as ready twice, or nobody was asked to start it",
                          ready.stage_index);
    }
    stage->ready = true;
    return std::all_of(stages_.begin(), stages_.end(),
                       [](const Stage& record) { return record.ready; });
}

}  // namespace molink
