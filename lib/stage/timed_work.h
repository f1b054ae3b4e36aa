#pragma once

#include <cstdint>
#include <memory>

#include <molink/options.h>

#include "stage/fold_runner.h"
#include "stage/stage_work.h"

namespace molink {

struct TimedWorkOptions {
    TimedProfile profile;
    FoldShape shape;
    std::uint64_t layer_bytes = 0;  ///< weights of a layer, which count against the memory
    std::uint64_t kv_layer_block_bytes = 0;
};

/// A stage of the fold model that takes the time of a profile in real processes and sends real
/// bytes: links and policies are measured with it on machines that could not compute so fast.
std::unique_ptr<StageWork> make_timed_work(const TimedWorkOptions& options);

/// A part's service time on a stage of these layers.
std::int64_t timed_service_us(const TimedProfile& profile, PartKind kind, std::int32_t rows,
                              std::int32_t layers, bool has_head);

}  // namespace molink
