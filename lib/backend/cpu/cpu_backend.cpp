// The CPU backend. Its only device "0" is the processors of this machine, its memory is the host's,
// and pinned buffers are plain memory. Ops are in cpu_stream.cpp, packing is in pack.cpp. Relies on
// host_memory.cpp for the sizes of the machine's memory.
#include "backend/cpu/cpu_backend.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "backend/cpu/cpu_stream.h"
#include "backend/cpu/host_memory.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/kv_layout.h"
#include "base/cgroup.h"
#include "base/error.h"

namespace molink {
namespace {

/// The affinity has the cores that a cpuset leaves.
int usable_cores() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return std::max(1, CPU_COUNT(&set));
}

/// Counts all cores of the machine: other processes may run on those that this one may not use.
double share_of_machine(int threads) {
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > threads ? static_cast<double>(threads) / static_cast<double>(cores) : 1;
}

class CpuPinnedBuffer final : public PinnedBuffer {
public:
    explicit CpuPinnedBuffer(std::unique_ptr<HostBuffer> memory) : memory_(std::move(memory)) {}
    void* data() override { return memory_->data(); }
    std::size_t bytes() const override { return memory_->bytes(); }

private:
    std::unique_ptr<HostBuffer> memory_;
};

}  // namespace

CpuBackend::CpuBackend(int threads)
    : pool_(threads), description_(fmt::format("{}, {} threads", cpu::simd_target(), threads)) {}

Result<std::unique_ptr<Backend>> CpuBackend::make(const BackendOptions& options) {
    if (cpu::simd_target().empty()) {
        return make_error(StatusCode::unimplemented,
                          "backend 'cpu': this processor has no fused multiply-add (AVX2, NEON or "
                          "newer is needed)");
    }
    const int threads =
        options.threads > 0 ? options.threads : default_threads(usable_cores(), cgroup_limits());
    return std::unique_ptr<Backend>(new CpuBackend(threads));
}

BackendTraits CpuBackend::traits() const {
    BackendTraits traits;
    traits.activations = ElementType::f32;
    traits.logit_rows = 16;
    traits.parts_ahead = 0;
    traits.prefaults = true;
    traits.compute_share = share_of_machine(pool_.threads());
    return traits;
}

DeviceMemory CpuBackend::memory() const {
    return host_memory();
}

Result<std::unique_ptr<DeviceBuffer>> CpuBackend::allocate(std::size_t bytes) {
    MOLINK_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBuffer> buffer, HostBuffer::make(bytes));
    return buffer;
}

Result<std::unique_ptr<PinnedBuffer>> CpuBackend::allocate_host(std::size_t bytes) {
    MOLINK_ASSIGN_OR_RETURN(std::unique_ptr<HostBuffer> memory, HostBuffer::make(bytes));
    return std::unique_ptr<PinnedBuffer>(std::make_unique<CpuPinnedBuffer>(std::move(memory)));
}

std::unique_ptr<Stream> CpuBackend::make_stream() {
    return std::make_unique<CpuStream>(pool_);
}

Result<std::unique_ptr<PackedMatrix>> CpuBackend::pack(const MatrixSource* parts, std::size_t count,
                                                       DataType type) {
    MOLINK_ASSIGN_OR_RETURN(std::unique_ptr<PackedMatrix> matrix,
                            pack_matrix(parts, count, type, pool_, arena_));
    return matrix;
}

std::size_t CpuBackend::packed_bytes(std::int64_t n, std::int64_t k, DataType type) const {
    return packed_matrix_bytes(n, k, type);
}

std::size_t CpuBackend::matmul_workspace_bytes(std::int64_t rows, std::int64_t k) const {
    const auto r = static_cast<std::size_t>(rows);
    const auto width = static_cast<std::size_t>(k);
    return std::max(cpu::matmul_float_workspace(r, width), cpu::matmul_q8_workspace(r, width));
}

std::size_t CpuBackend::kv_block_bytes(std::int32_t block_tokens, std::int32_t kv_heads,
                                       std::int32_t head_dim, ElementType type) const {
    const cpu::KvLayout layout(block_tokens, kv_heads, head_dim, type);
    return static_cast<std::size_t>(layout.block_bytes);
}

}  // namespace molink
