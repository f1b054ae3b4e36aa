#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/packed.h"
#include "backend/cpu/thread_pool.h"

namespace molink {

/// Backend on host memory. Same bits for any number of threads and any SIMD target.
class CpuBackend final : public Backend {
public:
    /// Returns the only device: the processors of this machine.
    static std::vector<std::string> devices() { return {"0"}; }
    /// Errors: unimplemented when the processor has no fused multiply-add.
    static Result<std::unique_ptr<Backend>> make(const BackendOptions& options);

    std::string_view name() const override { return "cpu"; }
    std::string_view description() const override { return description_; }
    BackendTraits traits() const override;
    DeviceMemory memory() const override;

    Result<std::unique_ptr<DeviceBuffer>> allocate(std::size_t bytes) override;
    Result<std::unique_ptr<PinnedBuffer>> allocate_host(std::size_t bytes) override;
    std::unique_ptr<Stream> make_stream() override;
    Result<std::unique_ptr<PackedMatrix>> pack(const MatrixSource* parts, std::size_t count,
                                               DataType type) override;
    std::size_t packed_bytes(std::int64_t n, std::int64_t k, DataType type) const override;
    std::size_t matmul_workspace_bytes(std::int64_t rows, std::int64_t k) const override;
    std::size_t kv_block_bytes(std::int32_t block_tokens, std::int32_t kv_heads,
                               std::int32_t head_dim, ElementType type) const override;

private:
    explicit CpuBackend(int threads);

    ThreadPool pool_;
    WeightArena arena_;
    std::string description_;
};

}  // namespace molink
