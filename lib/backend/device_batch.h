#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <molink/status.h>

#include "backend/backend.h"

namespace molink {

/// Everything that the ops of one part read except activations: positions, sequences, block tables,
/// token ids and the rows whose logits are wanted. The host writes it into one pinned record, which
/// is uploaded in one copy. Ops get addresses inside the copy on the device, which are the same for
/// every part. Move-only. Thread: one caller at a time.
class DeviceBatch {
public:
    struct Bounds {
        std::int64_t rows = 0;
        std::int64_t sequences = 0;
        std::int64_t blocks = 0;  ///< of all sequences together
    };
    /// Returns the bytes that a batch takes on the device, and again in pinned memory.
    static std::size_t bytes(const Bounds& bounds);
    /// Errors: resource_exhausted.
    static Result<DeviceBatch> make(Backend& backend, const Bounds& bounds);

    /// Begins a new part. A mark after the upload of the part before must have been waited for.
    void clear();
    /// Adds a sequence with its block table. The rows that are added next belong to it. Everything
    /// that is added must stay within the bounds.
    void add_sequence(std::span<const std::uint32_t> blocks);
    void add_row(std::int32_t position, std::int32_t token);
    /// Adds `row` to the rows whose logits are wanted.
    void add_wanted(std::int32_t row);
    /// Enqueues the copy to the device. Call it once per part, before the ops that read it.
    void upload(Stream& stream);

    const BatchArgs& args() const { return args_; }
    std::int64_t rows() const { return args_.rows; }
    /// Addresses on the device of the token ids [rows()] and the wanted rows [wanted_count()].
    const std::int32_t* tokens() const { return device_.tokens; }
    const std::int32_t* wanted() const { return device_.wanted; }
    std::int64_t wanted_count() const { return wanted_count_; }

private:
    /// Addresses of the arrays in the record, or in its copy.
    struct Arrays {
        std::int32_t* positions = nullptr;
        std::int32_t* sequence_of_row = nullptr;
        std::int32_t* tokens = nullptr;
        std::int32_t* wanted = nullptr;
        std::int64_t* block_offsets = nullptr;
        std::uint32_t* block_ids = nullptr;
    };
    static Arrays arrays_at(void* record, const Bounds& bounds);

    Bounds bounds_;
    std::unique_ptr<PinnedBuffer> record_;
    std::unique_ptr<DeviceBuffer> copy_;
    Arrays host_;
    Arrays device_;
    BatchArgs args_;
    std::int64_t wanted_count_ = 0;
};

}  // namespace molink
