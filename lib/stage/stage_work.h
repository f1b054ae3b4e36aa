#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <molink/status.h>

#include "stage/stage_executor.h"
#include "tensor/tensor_hash.h"

namespace molink {

/// Loads the layers of a stage and computes its parts, without threads and queues. Thread: the
/// stage's compute thread, for all calls.
class StageWork {
public:
    virtual ~StageWork() = default;

    /// Called with the loaded bytes and all bytes. Loading ends when it returns false.
    using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;
    struct Loaded {
        std::uint64_t weight_bytes = 0;
        std::uint64_t kv_block_capacity = 0;
        std::vector<LoadedTensor> tensors;  ///< with their hashes; empty without weights
    };
    /// Drops the epoch before and loads the layers, unless the epoch before had the same ones.
    /// Errors: of the files, or resource_exhausted.
    virtual Result<Loaded> load(const StageConfig& config, const Progress& progress) = 0;
    /// Frees layers and pages. Only load() may follow.
    virtual void unload() = 0;
    /// Allocates the KV pages. Call it only after load(). Errors: resource_exhausted.
    virtual Status start(std::uint64_t kv_blocks) = 0;
    /// Returns the number of parts that may be under way, begun but not finished; at least 1. With
    /// more than one, an asynchronous device has the next part before it finishes one.
    virtual std::int32_t parts_at_once() const { return 1; }
    /// Begins a part. Call it only after start() and with fewer than parts_at_once() parts under
    /// way. Errors: data_loss when the part contradicts the state of its sequences. After an error
    /// only load() may follow.
    virtual Status begin(StageInput input) = 0;
    /// Waits for the oldest part under way and returns its output, with the stage times of the
    /// input. Errors: those of the device. After an error only load() may follow.
    virtual Result<StageOutput> finish() = 0;
    /// Returns the service time of a part from its start, us; 0: it lasts until finish() returns.
    virtual std::int64_t service_us(const StageInput&) const { return 0; }
};

}  // namespace molink
