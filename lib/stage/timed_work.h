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
    /// Whose weights, workspace and KV blocks count against the memory, and the backend that would
    /// hold them; nothing is loaded.
    ModelSpec spec;
    WeightFormat format = WeightFormat::native;
    ElementType kv_type = ElementType::f32;
    std::shared_ptr<const Backend> backend;
};

/// A stage of the fold model that takes the time of a profile in real processes and sends real
/// bytes: links and policies are measured with it on machines that could not compute so fast.
std::unique_ptr<StageWork> make_timed_work(const TimedWorkOptions& options);

/// A part's service time on a stage of these layers.
std::int64_t timed_service_us(const TimedProfile& profile, PartKind kind, std::int32_t rows,
                              std::int32_t layers, bool has_lm_head);

}  // namespace molink
