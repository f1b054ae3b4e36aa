#pragma once

#include <cstdint>
#include <functional>

#include <molink/status.h>

#include "stage/stage_executor.h"

namespace molink {

/// What a stage does with its parts, apart from threads and queues. Thread: the stage's compute
/// thread, all calls.
class StageWork {
public:
    virtual ~StageWork() = default;

    /// Called with bytes done and bytes in all; false ends the loading.
    using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;
    struct Loaded {
        std::uint64_t weight_bytes = 0;
        std::uint64_t kv_block_capacity = 0;
    };
    /// Drops what it holds and loads the layers. Errors: of the files, or resource_exhausted.
    virtual Result<Loaded> load(const StageConfig& config, const Progress& progress) = 0;
    /// Allocates the KV pages. Only after load. Errors: resource_exhausted.
    virtual Status start(std::uint64_t kv_blocks) = 0;
    /// Runs a part. The output has the stage times of the input. Errors: data_loss when the part
    /// does not fit what the stage knows.
    virtual Result<StageOutput> run(StageInput input) = 0;
    /// Service time of a part from its start; 0: as long as run() takes.
    virtual std::int64_t service_us(const StageInput&) const { return 0; }
};

}  // namespace molink
