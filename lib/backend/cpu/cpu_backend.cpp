// The glue of the CPU backend: memory, and the split of every op over threads.
// Work is split over rows, panels or heads, never over a sum, so the number of
// threads cannot change a bit.
#include "backend/cpu/cpu_backend.h"

#include <sched.h>

#include <algorithm>
#include <cstring>

#include "backend/cpu/kv_layout.h"
#include "backend/cpu/packed.h"
#include "base/error.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

/// Values below which waking other threads costs more than it saves.
constexpr std::int64_t kWorthSplitting = 16'384;

int usable_cores() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return std::max(1, CPU_COUNT(&set));
}

/// K and V of one row into its page; T holds one element.
template <typename T>
void write_kv_row(const KvWriteArgs& args, std::int64_t row) {
    constexpr std::int64_t kPiece = 64;
    const KvPages& pages = args.pages;
    const cpu::KvLayout layout(pages);
    const std::int64_t position = args.batch.positions[row];
    std::byte* page = cpu::page_of(pages, args.batch, args.batch.sequence_of_row[row], position);
    const std::int64_t slot = position % pages.block_tokens;
    ConvertArgs narrow;
    narrow.out_type = pages.type;
    for (std::int64_t head = 0; head < pages.kv_heads; ++head) {
        narrow.in = args.v + row * args.v_stride + head * pages.head_dim;
        narrow.out = reinterpret_cast<T*>(page + layout.k_bytes) +
                     (head * pages.block_tokens + slot) * layout.v_width;
        narrow.count = pages.head_dim;
        cpu::convert(narrow);
        T* to = reinterpret_cast<T*>(page) + head * pages.head_dim * pages.block_tokens + slot;
        for (std::int64_t begin = 0; begin < pages.head_dim; begin += kPiece) {
            T values[kPiece];
            narrow.in = args.k + row * args.k_stride + head * pages.head_dim + begin;
            narrow.out = values;
            narrow.count = std::min(kPiece, pages.head_dim - begin);
            cpu::convert(narrow);
            for (std::int64_t i = 0; i < narrow.count; ++i) {
                to[(begin + i) * pages.block_tokens] = values[i];
            }
        }
    }
}

}  // namespace

CpuBackend::CpuBackend(int threads)
    : pool_(threads), description_(fmt::format("{}, {} threads", cpu::simd_target(), threads)) {}

Result<std::unique_ptr<Backend>> CpuBackend::make(const BackendOptions& options) {
    if (cpu::simd_target().empty()) {
        return make_error(StatusCode::unimplemented,
                          "backend 'cpu': this processor has no fused multiply-add (AVX2, NEON or "
                          "newer is needed)");
    }
    const int threads = options.threads > 0 ? options.threads : usable_cores();
    return std::unique_ptr<Backend>(new CpuBackend(threads));
}

template <typename Body>
void CpuBackend::for_rows(std::int64_t rows, std::int64_t width, const Body& body) {
    const auto count = static_cast<std::size_t>(rows);
    const std::int64_t each =
        std::max<std::int64_t>(1, kWorthSplitting / std::max<std::int64_t>(width, 1));
    pool_.parallel_for(count, static_cast<std::size_t>(each),
                       [&](std::size_t begin, std::size_t end) {
                           for (std::size_t row = begin; row < end; ++row) {
                               body(static_cast<std::int64_t>(row));
                           }
                       });
}

Result<std::unique_ptr<DeviceBuffer>> CpuBackend::allocate(std::size_t bytes) {
    MOLINK_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBuffer> buffer, HostBuffer::make(bytes));
    return buffer;
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

void CpuBackend::embed(const EmbedArgs& args) {
    const std::int64_t element = args.table_type == ElementType::f32 ? 4 : 2;
    for_rows(args.rows, args.hidden, [&](std::int64_t row) {
        float* out = args.out + row * args.hidden;
        ConvertArgs widen;
        widen.in =
            static_cast<const std::byte*>(args.table) + args.ids[row] * args.hidden * element;
        widen.out = out;
        widen.in_type = args.table_type;
        widen.count = args.hidden;
        cpu::convert(widen);
        if (args.scale != 1.0f) {
            for (std::int64_t i = 0; i < args.hidden; ++i) out[i] *= args.scale;
        }
    });
}

void CpuBackend::rms_norm(const RmsNormArgs& args) {
    for_rows(args.rows, args.width, [&](std::int64_t row) { cpu::rms_norm_row(args, row); });
}

void CpuBackend::add(const AddArgs& args) {
    constexpr std::int64_t kPiece = 16'384;
    for_rows((args.count + kPiece - 1) / kPiece, kPiece, [&](std::int64_t piece) {
        AddArgs part = args;
        part.x += piece * kPiece;
        part.y += piece * kPiece;
        part.count = std::min(kPiece, args.count - piece * kPiece);
        cpu::add(part);
    });
}

void CpuBackend::add_bias(const AddBiasArgs& args) {
    for_rows(args.rows, args.width, [&](std::int64_t row) { cpu::add_bias_row(args, row); });
}

void CpuBackend::gate(const GateArgs& args) {
    for_rows(args.rows, args.width, [&](std::int64_t row) { cpu::gate_row(args, row); });
}

void CpuBackend::rope(const RopeArgs& args) {
    for_rows(args.rows, args.heads * args.head_dim,
             [&](std::int64_t row) { cpu::rope_row(args, row); });
}

void CpuBackend::kv_write(const KvWriteArgs& args) {
    const KvPages& pages = args.pages;
    for_rows(args.batch.rows, std::int64_t{2} * pages.kv_heads * pages.head_dim,
             [&](std::int64_t row) {
                 if (pages.type == ElementType::f32) {
                     write_kv_row<float>(args, row);
                 } else {
                     write_kv_row<std::uint16_t>(args, row);
                 }
             });
}

void CpuBackend::attention(const AttentionArgs& args) {
    constexpr std::int32_t kPartRows = 4;
    if (args.batch.rows <= 0) return;
    // All heads of a row where one thread has them, else parts enough for all threads.
    const std::int32_t heads = args.pages.kv_heads;
    const auto shares = static_cast<std::int64_t>(pool_.threads() > 1 ? pool_.threads() * 4 : 1);
    const std::int64_t splits = std::clamp<std::int64_t>(shares / args.batch.rows, 1, heads);
    const auto part_heads = static_cast<std::int32_t>(heads / splits);
    attention_parts_.clear();
    for (std::int64_t row = 0; row < args.batch.rows;) {
        const std::int64_t begin = row++;
        while (row < args.batch.rows && row - begin < kPartRows &&
               args.batch.sequence_of_row[row] == args.batch.sequence_of_row[begin]) {
            ++row;
        }
        for (std::int32_t head = 0; head < heads; head += part_heads) {
            attention_parts_.push_back({begin, static_cast<std::int32_t>(row - begin), head,
                                        std::min(part_heads, heads - head)});
        }
    }
    pool_.parallel_for(attention_parts_.size(), 1, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) cpu::attention_part(args, attention_parts_[i]);
    });
}

void CpuBackend::gather_rows(const GatherRowsArgs& args) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
        std::memmove(args.out + row * args.width, args.x + args.rows_to_take[row] * args.width,
                     static_cast<std::size_t>(args.width) * sizeof(float));
    }
}

void CpuBackend::convert(const ConvertArgs& args) {
    cpu::convert(args);
}
void CpuBackend::scale_cap(const ScaleCapArgs& args) {
    cpu::scale_cap(args);
}

void CpuBackend::argmax(const ArgmaxArgs& args) {
    for_rows(args.rows, args.width, [&](std::int64_t row) { cpu::argmax_row(args, row); });
}

void CpuBackend::matmul(const MatmulArgs& args) {
    if (args.rows <= 0) return;
    if (args.weight->type == DataType::q8_0) {
        cpu::matmul_q8(args, pool_);
    } else {
        cpu::matmul_float(args, pool_);
    }
}

void CpuBackend::copy_to_device(void* to, const void* from, std::size_t bytes) {
    std::memcpy(to, from, bytes);
}
void CpuBackend::copy_to_host(void* to, const void* from, std::size_t bytes) {
    std::memcpy(to, from, bytes);
}

}  // namespace molink
