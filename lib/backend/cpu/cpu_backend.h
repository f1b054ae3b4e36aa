#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/packed.h"
#include "backend/cpu/thread_pool.h"

namespace molink {

/// Backend on host memory. Same bits for any number of threads and any SIMD target.
class CpuBackend final : public Backend {
public:
    /// Errors: unimplemented when the machine cannot fuse multiply and add.
    static Result<std::unique_ptr<Backend>> make(const BackendOptions& options);

    std::string_view name() const override { return "cpu"; }
    std::string_view description() const override { return description_; }

    Result<std::unique_ptr<DeviceBuffer>> allocate(std::size_t bytes) override;
    Result<std::unique_ptr<PackedMatrix>> pack(const MatrixSource* parts, std::size_t count,
                                               DataType type) override;
    std::size_t packed_bytes(std::int64_t n, std::int64_t k, DataType type) const override;
    std::size_t matmul_workspace_bytes(std::int64_t rows, std::int64_t k) const override;
    std::size_t kv_block_bytes(std::int32_t block_tokens, std::int32_t kv_heads,
                               std::int32_t head_dim, ElementType type) const override;

    void embed(const EmbedArgs& args) override;
    void rms_norm(const RmsNormArgs& args) override;
    void add(const AddArgs& args) override;
    void add_bias(const AddBiasArgs& args) override;
    void gate(const GateArgs& args) override;
    void rope(const RopeArgs& args) override;
    void kv_write(const KvWriteArgs& args) override;
    void attention(const AttentionArgs& args) override;
    void gather_rows(const GatherRowsArgs& args) override;
    void convert(const ConvertArgs& args) override;
    void scale_cap(const ScaleCapArgs& args) override;
    void argmax(const ArgmaxArgs& args) override;
    void matmul(const MatmulArgs& args) override;
    void copy_to_device(void* to, const void* from, std::size_t bytes) override;
    void copy_to_host(void* to, const void* from, std::size_t bytes) override;

private:
    explicit CpuBackend(int threads);
    /// Runs body(row) for all rows, on several threads when there is enough to do.
    template <typename Body>
    void for_rows(std::int64_t rows, std::int64_t width, const Body& body);

    ThreadPool pool_;
    WeightArena arena_;
    std::string description_;
    std::vector<cpu::AttentionPart> attention_parts_;
};

}  // namespace molink
