#pragma once

#include <cstdint>
#include <memory>

#include <molink/model_spec.h>
#include <molink/options.h>

#include "model/model.h"
#include "stage/fold_runner.h"
#include "stage/stage_memory.h"
#include "stage/stage_work.h"

namespace molink {

struct TimedWorkOptions {
    TimedProfile profile;
    FoldShape shape;
    /// The weights, workspace and KV blocks of this model, as `backend` would hold them, count
    /// against the memory. Nothing is loaded.
    ModelSpec spec;
    WeightFormat format = WeightFormat::native;
    ElementType kv_type = ElementType::f32;
    std::shared_ptr<const Backend> backend;
};

/// Makes the work of a stage of the fold model that takes the time of a profile. It runs in real
/// processes and sends real bytes. Links and policies can be measured with it on machines that
/// could not compute a model so fast.
std::unique_ptr<StageWork> make_timed_work(const TimedWorkOptions& options);

/// Returns the service time of a part on a stage with this number of layers, us; at least 1.
std::int64_t timed_service_us(const TimedProfile& profile, PartKind kind, std::int32_t rows,
                              std::int32_t layers, bool has_lm_head);

}  // namespace molink
