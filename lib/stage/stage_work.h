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
    /// Parts that may have begun and not been finished, at least 1. A device that works beside the
    /// calling thread has the next part by the time it is done with one.
    virtual std::int32_t parts_at_once() const { return 1; }
    /// Begins a part; fewer than parts_at_once() are under way. Only after start. Errors: data_loss
    /// when the part does not fit what the stage knows. After an error only load() may follow.
    virtual Status begin(StageInput input) = 0;
    /// Waits for the oldest part under way and returns what became of it, with the stage times of
    /// the input. Errors: those of the device. After an error only load() may follow.
    virtual Result<StageOutput> finish() = 0;
    /// Service time of a part from its start; 0: until finish() returns.
    virtual std::int64_t service_us(const StageInput&) const { return 0; }
};

}  // namespace molink
