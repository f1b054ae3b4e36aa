// Packs weights when they are loaded. The product kernels need outputs side by side, but
// checkpoints store them one after the other. The work is split over panels. The source rows of a
// panel are read in order, so that pages of a mapped file are touched once.
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "backend/cpu/packed.h"
#include "base/error.h"
#include "base/page_size.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

struct Sources {
    const MatrixSource* parts;
    std::size_t count;

    /// Returns the part that holds output row `row`, counted over all parts, or null beyond the
    /// last. Changes `row` to its index within this part.
    const MatrixSource* part_of(std::int64_t& row) const {
        for (std::size_t i = 0; i < count; ++i) {
            if (row < parts[i].n) return parts + i;
            row -= parts[i].n;
        }
        return nullptr;
    }
    /// Returns the first byte of output row `row`, or null beyond the last. All parts must have the
    /// same type.
    const std::byte* row(std::int64_t row, std::size_t row_bytes) const {
        const MatrixSource* part = part_of(row);
        if (part == nullptr) return nullptr;
        return static_cast<const std::byte*>(part->data) +
               static_cast<std::size_t>(row) * row_bytes;
    }
};

template <typename T>
void pack_panel(const Sources& sources, std::size_t panel, std::size_t k, std::byte* out) {
    constexpr std::size_t kBlock = 64;
    T* to = reinterpret_cast<T*>(out);
    for (std::size_t begin = 0; begin < k; begin += kBlock) {
        const std::size_t size = std::min(kBlock, k - begin);
        for (std::size_t lane = 0; lane < kPanel; ++lane) {
            const std::byte* row =
                sources.row(static_cast<std::int64_t>(panel * kPanel + lane), k * sizeof(T));
            if (row == nullptr) break;
            T values[kBlock];
            std::memcpy(values, row + begin * sizeof(T), size * sizeof(T));
            for (std::size_t i = 0; i < size; ++i) to[(begin + i) * kPanel + lane] = values[i];
        }
    }
}

void widen(const std::byte* from, DataType type, std::size_t count, float* out) {
    if (type == DataType::f32) {
        std::memcpy(out, from, count * sizeof(float));
        return;
    }
    for (std::size_t i = 0; i < count; ++i) {
        std::uint16_t bits;
        std::memcpy(&bits, from + 2 * i, 2);
        out[i] = type == DataType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
    }
}

/// Quantises one group of one output into its lane.
void pack_group(const float* values, std::size_t lane, std::byte* group) {
    float largest = 0;
    for (std::size_t i = 0; i < kGroup; ++i) largest = std::max(largest, std::fabs(values[i]));
    const std::uint16_t scale_bits = f32_to_f16(largest / 127.0f);
    const float scale = f16_to_f32(scale_bits);
    std::memcpy(group + 2 * lane, &scale_bits, 2);
    std::byte* quads = group + 2 * kPanel;
    for (std::size_t i = 0; i < kGroup; ++i) {
        const float exact = scale > 0 ? values[i] / scale : 0.0f;
        const float rounded = std::nearbyintf(std::clamp(exact, -127.0f, 127.0f));
        quads[(i / 4) * kPanel * 4 + lane * 4 + i % 4] =
            static_cast<std::byte>(static_cast<int>(rounded) + 128);
    }
}

/// Converts output row `row`, counted over all parts, to float32. Zeros beyond the last row.
void widen_row(const Sources& sources, std::int64_t row, std::vector<float>& values) {
    const MatrixSource* part = sources.part_of(row);
    if (part == nullptr) {
        std::fill(values.begin(), values.end(), 0.0f);
        return;
    }
    const std::size_t row_bytes = values.size() * data_type_bytes(part->type);
    widen(static_cast<const std::byte*>(part->data) + static_cast<std::size_t>(row) * row_bytes,
          part->type, values.size(), values.data());
}

/// Packs a panel of float32 from parts of any type.
void pack_panel_widened(const Sources& sources, std::size_t panel, std::size_t k, std::byte* out) {
    auto* to = reinterpret_cast<float*>(out);
    std::vector<float> values(k);
    for (std::size_t lane = 0; lane < kPanel; ++lane) {
        widen_row(sources, static_cast<std::int64_t>(panel * kPanel + lane), values);
        for (std::size_t i = 0; i < k; ++i) to[i * kPanel + lane] = values[i];
    }
}

void pack_panel_q8(const Sources& sources, std::size_t panel, std::size_t k, std::byte* out) {
    std::vector<float> values(k);
    for (std::size_t lane = 0; lane < kPanel; ++lane) {
        widen_row(sources, static_cast<std::int64_t>(panel * kPanel + lane), values);
        for (std::size_t group = 0; group < k / kGroup; ++group) {
            pack_group(values.data() + group * kGroup, lane, out + group * kQ8GroupBytes);
        }
    }
}

bool is_float(DataType type) {
    return type == DataType::f32 || type == DataType::f16 || type == DataType::bf16;
}

Status check_sources(const MatrixSource* parts, std::size_t count, DataType type) {
    if (count == 0) return invalid_argument("pack a matrix of 0 parts; at least 1 is needed");
    for (std::size_t i = 0; i < count; ++i) {
        const MatrixSource& part = parts[i];
        if (part.n <= 0 || part.k <= 0 || part.k != parts[0].k) {
            return invalid_argument(
                "pack [{}, {}] {} with [{}, {}] {}: sizes must be positive and widths equal",
                part.n, part.k, data_type_name(part.type), parts[0].n, parts[0].k,
                data_type_name(parts[0].type));
        }
        const bool widens = type == DataType::q8_0 || type == DataType::f32;
        if (!is_float(part.type) || (part.type != type && !widens)) {
            return invalid_argument("pack {} as {}: this conversion is not supported",
                                    data_type_name(part.type), data_type_name(type));
        }
    }
    if (type == DataType::q8_0 && parts[0].k % static_cast<std::int64_t>(kGroup) != 0) {
        return invalid_argument("pack as q8_0: width {} is not a multiple of {}", parts[0].k,
                                kGroup);
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<HostBuffer>> HostBuffer::make(std::size_t bytes) {
    constexpr std::size_t kHugePage = std::size_t{2} << 20;
    const std::size_t alignment = bytes >= 2 * kHugePage ? kHugePage : 64;
    void* data = nullptr;
    if (posix_memalign(&data, alignment, std::max<std::size_t>(bytes, 64)) != 0) {
        return make_error(StatusCode::resource_exhausted,
                          "allocate {} bytes of host memory: the system refused", bytes);
    }
#ifdef MADV_HUGEPAGE
    // Every token reads all weights, and huge pages make that faster. A refusal costs only speed.
    if (alignment == kHugePage) madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    std::shared_ptr<void> memory(data, &std::free);
    return std::unique_ptr<HostBuffer>(new HostBuffer(std::move(memory), data, bytes));
}

void HostBuffer::prefault(std::size_t begin, std::size_t end) {
#ifdef MADV_POPULATE_WRITE
    // Does not write, because that would race with ops that use the memory. Kernels before 5.14
    // refuse, and the pages fault when they are used.
    auto* const data = static_cast<std::byte*>(data_);
    std::byte* const from =
        data + begin - (reinterpret_cast<std::uintptr_t>(data) + begin) % page_size();
    std::byte* const to = data + std::min(end, bytes_);
    if (from < to) madvise(from, static_cast<std::size_t>(to - from), MADV_POPULATE_WRITE);
#endif
}

Result<std::unique_ptr<HostBuffer>> WeightArena::allocate(std::size_t bytes) {
    constexpr std::size_t kChunkBytes = std::size_t{32} << 20;
    const std::size_t rounded = (bytes + 63) / 64 * 64;
    if (rounded > kChunkBytes / 4) return HostBuffer::make(bytes);
    if (chunk_ == nullptr || kChunkBytes - used_ < rounded) {
        MOLINK_ASSIGN_OR_RETURN(chunk_, HostBuffer::make(kChunkBytes));
        used_ = 0;
    }
    auto* data = static_cast<std::byte*>(chunk_->data()) + used_;
    used_ += rounded;
    return std::unique_ptr<HostBuffer>(new HostBuffer(chunk_->memory_, data, bytes));
}

std::size_t packed_matrix_bytes(std::int64_t n, std::int64_t k, DataType type) {
    const auto rows = static_cast<std::size_t>(n);
    const auto width = static_cast<std::size_t>(k);
    const std::size_t panels = (rows + kPanel - 1) / kPanel;
    if (type == DataType::q8_0) return panels * (width / kGroup) * kQ8GroupBytes;
    return panels * width * kPanel * data_type_bytes(type);
}

Result<std::unique_ptr<CpuMatrix>> pack_matrix(const MatrixSource* parts, std::size_t count,
                                               DataType type, ThreadPool& pool,
                                               WeightArena& arena) {
    MOLINK_RETURN_IF_ERROR(check_sources(parts, count, type));
    auto matrix = std::make_unique<CpuMatrix>();
    matrix->k = parts[0].k;
    matrix->type = type;
    for (std::size_t i = 0; i < count; ++i) matrix->n += parts[i].n;
    MOLINK_ASSIGN_OR_RETURN(matrix->buffer,
                            arena.allocate(packed_matrix_bytes(matrix->n, matrix->k, type)));
    const auto k = static_cast<std::size_t>(matrix->k);
    const Sources sources{parts, count};
    auto* base = static_cast<std::byte*>(matrix->buffer->data());
    const std::size_t panel_bytes = matrix->panel_bytes();
    const bool tail = static_cast<std::size_t>(matrix->n) % kPanel != 0;
    const bool widens = std::any_of(parts, parts + count,
                                    [type](const MatrixSource& part) { return part.type != type; });
    pool.parallel_for(matrix->panels(), 1, [&](std::size_t begin, std::size_t end) {
        for (std::size_t panel = begin; panel < end; ++panel) {
            std::byte* out = base + panel * panel_bytes;
            if (tail && panel + 1 == matrix->panels()) std::memset(out, 0, panel_bytes);
            if (type == DataType::q8_0) {
                pack_panel_q8(sources, panel, k, out);
            } else if (widens) {
                pack_panel_widened(sources, panel, k, out);
            } else if (type == DataType::f32) {
                pack_panel<std::uint32_t>(sources, panel, k, out);
            } else {
                pack_panel<std::uint16_t>(sources, panel, k, out);
            }
        }
    });
    return matrix;
}

}  // namespace molink
