// Packs weights when they are loaded. The product kernels need outputs side by side, but
// checkpoints store them one after the other. The work is split over panels: each thread reads the
// rows of a panel, which are neighbours in their file, and packs them while they are in its cache.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "backend/cpu/packed.h"
#include "base/error.h"
#include "base/page_size.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

constexpr const char* kNoPackMemory = "pack a matrix: no memory for the rows of a panel";

/// The rows of one panel, in host memory. Rows beyond the last one of the matrix are null.
class PanelRows {
public:
    PanelRows(const MatrixSource* parts, std::size_t count) : parts_(parts), count_(count) {}

    /// Finds the rows of a panel, or reads them into a buffer that is used again. Errors: those of
    /// MatrixRows::read.
    Status load(std::size_t panel);
    const std::byte* data(std::size_t lane) const { return data_[lane]; }
    DataType type(std::size_t lane) const { return type_[lane]; }

private:
    Status load_part(const MatrixSource& part, std::int64_t begin, std::int64_t end,
                     std::size_t lane, std::byte* buffer);

    const MatrixSource* parts_;
    std::size_t count_;
    std::array<const std::byte*, kPanel> data_{};
    std::array<DataType, kPanel> type_{};
    std::vector<std::byte> buffer_;
};

std::size_t row_bytes(const MatrixSource& part) {
    return static_cast<std::size_t>(part.k) * data_type_bytes(part.type);
}

Status PanelRows::load_part(const MatrixSource& part, std::int64_t begin, std::int64_t end,
                            std::size_t lane, std::byte* buffer) {
    const std::byte* first = buffer;
    if (part.rows != nullptr) {
        MOLINK_RETURN_IF_ERROR(part.rows->read(begin, end - begin, buffer));
    } else {
        first = static_cast<const std::byte*>(part.data) +
                static_cast<std::size_t>(begin) * row_bytes(part);
    }
    for (std::int64_t row = begin; row < end; ++row, ++lane) {
        data_[lane] = first + static_cast<std::size_t>(row - begin) * row_bytes(part);
        type_[lane] = part.type;
    }
    return {};
}

Status PanelRows::load(std::size_t panel) {
    data_.fill(nullptr);
    const auto wanted = static_cast<std::int64_t>(panel * kPanel);  // over all parts
    std::size_t widest = 0;                                         // of the rows that are read
    for (std::size_t i = 0; i < count_; ++i) {
        if (parts_[i].rows != nullptr) widest = std::max(widest, row_bytes(parts_[i]));
    }
    buffer_.resize(kPanel * widest);
    std::int64_t first = 0;  // row of the part's first row
    for (std::size_t i = 0; i < count_; ++i) {
        const std::int64_t begin = std::max(wanted, first) - first;
        const std::int64_t end =
            std::min(wanted + static_cast<std::int64_t>(kPanel), first + parts_[i].n) - first;
        if (begin < end) {
            const auto lane = static_cast<std::size_t>(first + begin - wanted);
            MOLINK_RETURN_IF_ERROR(
                load_part(parts_[i], begin, end, lane, buffer_.data() + lane * widest));
        }
        first += parts_[i].n;
    }
    return {};
}

template <typename T>
void pack_panel(const PanelRows& rows, std::size_t k, std::byte* out) {
    constexpr std::size_t kBlock = 64;
    T* to = reinterpret_cast<T*>(out);
    for (std::size_t begin = 0; begin < k; begin += kBlock) {
        const std::size_t size = std::min(kBlock, k - begin);
        for (std::size_t lane = 0; lane < kPanel; ++lane) {
            const std::byte* row = rows.data(lane);
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

/// Converts the row of a lane to float32. Zeros beyond the last row.
void widen_row(const PanelRows& rows, std::size_t lane, std::vector<float>& values) {
    if (rows.data(lane) == nullptr) {
        std::fill(values.begin(), values.end(), 0.0f);
        return;
    }
    widen(rows.data(lane), rows.type(lane), values.size(), values.data());
}

/// Packs a panel of float32 from parts of any type.
void pack_panel_widened(const PanelRows& rows, std::size_t k, std::byte* out) {
    auto* to = reinterpret_cast<float*>(out);
    std::vector<float> values(k);
    for (std::size_t lane = 0; lane < kPanel; ++lane) {
        widen_row(rows, lane, values);
        for (std::size_t i = 0; i < k; ++i) to[i * kPanel + lane] = values[i];
    }
}

void pack_panel_q8(const PanelRows& rows, std::size_t k, std::byte* out) {
    std::vector<float> values(k);
    for (std::size_t lane = 0; lane < kPanel; ++lane) {
        widen_row(rows, lane, values);
        for (std::size_t group = 0; group < k / kGroup; ++group) {
            pack_group(values.data() + group * kGroup, lane, out + group * kQ8GroupBytes);
        }
    }
}

/// How the panels of a matrix are packed.
enum class PackKind { q8, widened, words, halves };

PackKind pack_kind(const MatrixSource* parts, std::size_t count, DataType type) {
    if (type == DataType::q8_0) return PackKind::q8;
    const bool widens = std::any_of(parts, parts + count,
                                    [type](const MatrixSource& part) { return part.type != type; });
    if (widens) return PackKind::widened;
    return type == DataType::f32 ? PackKind::words : PackKind::halves;
}

void pack_rows(PackKind kind, const PanelRows& rows, std::size_t k, std::byte* out) {
    switch (kind) {
        case PackKind::q8: return pack_panel_q8(rows, k, out);
        case PackKind::widened: return pack_panel_widened(rows, k, out);
        case PackKind::words: return pack_panel<std::uint32_t>(rows, k, out);
        case PackKind::halves: return pack_panel<std::uint16_t>(rows, k, out);
    }
}

/// The first error of several threads. Thread: any.
class FirstError {
public:
    void set(const Status& status) {
        const std::lock_guard lock(mutex_);
        if (status_.ok()) status_ = status;
        failed_.store(true, std::memory_order_relaxed);
    }
    bool failed() const { return failed_.load(std::memory_order_relaxed); }
    const Status& status() const { return status_; }

private:
    std::mutex mutex_;
    std::atomic<bool> failed_{false};
    Status status_;  // under mutex_ until all threads are done
};

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
    auto* base = static_cast<std::byte*>(matrix->buffer->data());
    const std::size_t panel_bytes = matrix->panel_bytes();
    const std::size_t panels = matrix->panels();
    const bool tail = static_cast<std::size_t>(matrix->n) % kPanel != 0;
    const PackKind kind = pack_kind(parts, count, type);
    FirstError error;
    const auto pack_pieces = [&](std::size_t begin, std::size_t end) -> Status {
        PanelRows rows(parts, count);
        for (std::size_t panel = begin; panel < end && !error.failed(); ++panel) {
            std::byte* out = base + panel * panel_bytes;
            if (tail && panel + 1 == panels) std::memset(out, 0, panel_bytes);
            MOLINK_RETURN_IF_ERROR(rows.load(panel));
            pack_rows(kind, rows, k, out);
        }
        return {};
    };
    // A few pieces per thread, because each piece has a buffer for the rows of a panel.
    const std::size_t pieces = 4 * static_cast<std::size_t>(pool.threads());
    pool.parallel_for(panels, std::max<std::size_t>(panels / pieces, 1),
                      [&](std::size_t begin, std::size_t end) {
                          try {
                              const Status status = pack_pieces(begin, end);
                              if (!status.ok()) error.set(status);
                          } catch (const std::bad_alloc&) {
                              error.set(Status(StatusCode::resource_exhausted, kNoPackMemory));
                          }
                      });
    if (!error.status().ok()) return error.status();
    return matrix;
}

}  // namespace molink
