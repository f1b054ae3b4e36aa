#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/cpu/thread_pool.h"
#include "backend/stream.h"

namespace molink {

/// Computes every op before its call returns. Activations are float32. Ops cannot fail.
class CpuStream final : public Stream {
public:
    /// `pool` must outlive this object.
    explicit CpuStream(ThreadPool& pool) : pool_(pool) {}

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
    void upload(void* to, const void* from, std::size_t bytes) override;
    void download(void* to, const void* from, std::size_t bytes) override;
    Mark record() override;
    void after(Stream&, Mark) override {}
    Status wait(Mark) override { return {}; }
    std::int64_t elapsed_us(Mark begin, Mark end) const override;

private:
    /// Runs body(row) for all rows, on several threads when there is enough to do.
    template <typename Body>
    void for_rows(std::int64_t rows, std::int64_t width, const Body& body);

    ThreadPool& pool_;
    std::vector<cpu::AttentionPart> attention_parts_;
    std::uint64_t marks_ = 0;
    std::array<std::int64_t, kLiveMarks> mark_times_us_{};  // of mark i at i % kLiveMarks
};

}  // namespace molink
