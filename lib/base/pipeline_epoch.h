#pragma once

#include <molink/types.h>

namespace molink {

/// One generation of one pipeline. Work, block ids and frames belong to a generation. Those of an
/// older generation are stale.
struct PipelineEpoch {
    PipelineId pipeline;
    Epoch epoch;
    friend constexpr bool operator==(PipelineEpoch, PipelineEpoch) = default;
};

}  // namespace molink
