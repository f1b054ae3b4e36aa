// The ops of the CPU backend, split over threads: by rows, panels or attention heads, never within
// a sum, so that the number of threads cannot change a bit. An op is done when its call returns, so
// wait() has nothing to wait for and no error to return.
#include "backend/cpu/cpu_stream.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include <molink/clock.h>

#include "backend/cpu/kv_layout.h"
#include "backend/cpu/packed.h"

namespace molink {
namespace {

/// Number of values below which waking other threads costs more than it saves.
constexpr std::int64_t kWorthSplitting = 16'384;

/// Returns a key as it is stored. An infinite score of the wrong sign would get the weight 0, and
/// attention would pass over the position without a trace. NaN is never passed over.
float stored_key(float key) {
    return std::isinf(key) ? std::numeric_limits<float>::quiet_NaN() : key;
}
std::uint16_t stored_key(std::uint16_t key) {  // f16
    return (key & 0x7fffu) == 0x7c00u ? std::uint16_t{0x7e00} : key;
}

/// Writes K and V of one row to its page. T has the size of one element.
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
        narrow.in = cpu::floats(args.v) + row * args.v_stride + head * pages.head_dim;
        narrow.out = reinterpret_cast<T*>(page + layout.k_bytes) +
                     (head * pages.block_tokens + slot) * layout.v_width;
        narrow.count = pages.head_dim;
        cpu::convert(narrow);
        T* to = reinterpret_cast<T*>(page) + head * pages.head_dim * pages.block_tokens + slot;
        for (std::int64_t begin = 0; begin < pages.head_dim; begin += kPiece) {
            T values[kPiece];
            narrow.in = cpu::floats(args.k) + row * args.k_stride + head * pages.head_dim + begin;
            narrow.out = values;
            narrow.count = std::min(kPiece, pages.head_dim - begin);
            cpu::convert(narrow);
            for (std::int64_t i = 0; i < narrow.count; ++i) {
                to[(begin + i) * pages.block_tokens] = stored_key(values[i]);
            }
        }
    }
}

}  // namespace

template <typename Body>
void CpuStream::for_rows(std::int64_t rows, std::int64_t width, const Body& body) {
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

void CpuStream::embed(const EmbedArgs& args) {
    const std::int64_t row_bytes = args.hidden * element_bytes(args.table_type);
    for_rows(args.rows, args.hidden, [&](std::int64_t row) {
        float* out = args.out + row * args.hidden;
        ConvertArgs widen;
        widen.in = static_cast<const std::byte*>(args.table) + args.ids[row] * row_bytes;
        widen.out = out;
        widen.in_type = args.table_type;
        widen.count = args.hidden;
        cpu::convert(widen);
        if (args.scale != 1.0f) {
            for (std::int64_t i = 0; i < args.hidden; ++i) out[i] *= args.scale;
        }
    });
}

void CpuStream::rms_norm(const RmsNormArgs& args) {
    assert(args.x_type == ElementType::f32 && args.out_type == ElementType::f32);
    for_rows(args.rows, args.groups * args.width,
             [&](std::int64_t row) { cpu::rms_norm_row(args, row); });
}

void CpuStream::add(const AddArgs& args) {
    constexpr std::int64_t kPiece = 16'384;
    assert(args.y_type == ElementType::f32);
    for_rows((args.count + kPiece - 1) / kPiece, kPiece, [&](std::int64_t piece) {
        AddArgs part = args;
        part.x += piece * kPiece;
        part.y = cpu::floats(args.y) + piece * kPiece;
        part.count = std::min(kPiece, args.count - piece * kPiece);
        cpu::add(part);
    });
}

void CpuStream::add_bias(const AddBiasArgs& args) {
    assert(args.x_type == ElementType::f32);
    for_rows(args.rows, args.width, [&](std::int64_t row) { cpu::add_bias_row(args, row); });
}

void CpuStream::gate(const GateArgs& args) {
    assert(args.type == ElementType::f32);
    for_rows(args.rows, args.width, [&](std::int64_t row) { cpu::gate_row(args, row); });
}

void CpuStream::rope(const RopeArgs& args) {
    assert(args.x_type == ElementType::f32);
    for_rows(args.rows, args.heads * args.head_dim,
             [&](std::int64_t row) { cpu::rope_row(args, row); });
}

void CpuStream::kv_write(const KvWriteArgs& args) {
    assert(args.type == ElementType::f32);
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

void CpuStream::attention(const AttentionArgs& args) {
    constexpr std::int32_t kPartRows = 4;
    assert(args.type == ElementType::f32);
    if (args.batch.rows <= 0) return;
    // With one thread, a part has all KV heads of its rows. With several, few rows are split by KV
    // heads, so that there are enough parts for all threads.
    const std::int32_t kv_heads = args.pages.kv_heads;
    const auto shares = static_cast<std::int64_t>(pool_.threads() > 1 ? pool_.threads() * 4 : 1);
    const std::int64_t splits = std::clamp<std::int64_t>(shares / args.batch.rows, 1, kv_heads);
    const auto part_heads = static_cast<std::int32_t>(kv_heads / splits);
    attention_parts_.clear();
    for (std::int64_t row = 0; row < args.batch.rows;) {
        const std::int64_t begin = row++;
        while (row < args.batch.rows && row - begin < kPartRows &&
               args.batch.sequence_of_row[row] == args.batch.sequence_of_row[begin]) {
            ++row;
        }
        for (std::int32_t head = 0; head < kv_heads; head += part_heads) {
            attention_parts_.push_back({begin, static_cast<std::int32_t>(row - begin), head,
                                        std::min(part_heads, kv_heads - head)});
        }
    }
    pool_.parallel_for(attention_parts_.size(), 1, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) cpu::attention_part(args, attention_parts_[i]);
    });
}

void CpuStream::gather_rows(const GatherRowsArgs& args) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
        std::memmove(args.out + row * args.width, args.x + args.wanted_rows[row] * args.width,
                     static_cast<std::size_t>(args.width) * sizeof(float));
    }
}

void CpuStream::convert(const ConvertArgs& args) {
    cpu::convert(args);
}
void CpuStream::scale_cap(const ScaleCapArgs& args) {
    cpu::scale_cap(args);
}

void CpuStream::argmax(const ArgmaxArgs& args) {
    for_rows(args.rows, args.width, [&](std::int64_t row) { cpu::argmax_row(args, row); });
}

void CpuStream::matmul(const MatmulArgs& args) {
    assert(args.x_type == ElementType::f32 && args.y_type == ElementType::f32);
    if (args.rows <= 0) return;
    if (args.weight->type == DataType::q8_0) {
        cpu::matmul_q8(args, pool_);
    } else {
        cpu::matmul_float(args, pool_);
    }
}

void CpuStream::upload(void* to, const void* from, std::size_t bytes) {
    std::memcpy(to, from, bytes);
}
void CpuStream::download(void* to, const void* from, std::size_t bytes) {
    std::memcpy(to, from, bytes);
}

Mark CpuStream::record() {
    const Mark mark{marks_++};
    mark_times_us_[mark.index % kLiveMarks] = steady_clock().now_us();
    return mark;
}

std::int64_t CpuStream::elapsed_us(Mark begin, Mark end) const {
    return mark_times_us_[end.index % kLiveMarks] - mark_times_us_[begin.index % kLiveMarks];
}

}  // namespace molink
