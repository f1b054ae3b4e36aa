#pragma once

#include <cstddef>
#include <cstdint>

#include <molink/status.h>

#include "backend/backend.h"
#include "model/arch_table.h"
#include "model/weight_loader.h"

namespace molink {

/// What sublayers get when a part runs. Pointers are to device memory.
struct SublayerRun {
    Stream& stream;
    const BatchArgs& batch;
    float* hidden = nullptr;       ///< the residual, [batch.rows, hidden]; the sublayer adds to it
    const float* cos = nullptr;    ///< of rotary positions, [context, rotary_dim / 2]
    const float* sin = nullptr;    ///< the same
    std::byte* scratch = nullptr;  ///< scratch_bytes(backend, max_rows) bytes, 64-byte aligned
    std::int64_t max_rows = 0;
    ElementType activations = ElementType::f32;  ///< of the device's traits
};

/// One half of a layer. It states what it takes before anything is loaded, loads its weights, and
/// enqueues its ops. Sublayers of a stage run one after the other and share their scratch memory.
/// Thread: one caller at a time.
class Sublayer {
public:
    virtual ~Sublayer() = default;

    /// Bytes of its weights on the device when matrices are of `matrix_type`.
    virtual std::uint64_t weight_bytes(const Backend& backend, DataType matrix_type) const = 0;
    /// Bytes that it works in while a part of `rows` rows runs.
    virtual std::size_t scratch_bytes(const Backend& backend, std::int64_t rows) const = 0;
    /// Errors: those of WeightLoader.
    virtual Status load(WeightLoader& loader, const LayerTensors& tensors) = 0;
};

/// How a stage keeps what mixers remember of earlier positions.
struct CacheFormat {
    ElementType type = ElementType::f32;
    std::int32_t block_tokens = 16;
};

/// The half of a layer in which positions see each other: attention; latent and recurrent mixers
/// are others.
class Mixer : public Sublayer {
public:
    /// Bytes of one cache block of this layer.
    virtual std::size_t cache_block_bytes(const Backend& backend,
                                          const CacheFormat& format) const = 0;
    /// The layer's pages from `base` on, for run().
    virtual KvPages cache_pages(const Backend& backend, const CacheFormat& format,
                                void* base) const = 0;
    /// Adds to the residual. Writes the batch's positions to `pages` before it reads them.
    virtual void run(const SublayerRun& run, const KvPages& pages) = 0;
};

/// The half of a layer that treats every position by itself: a dense one; experts are others.
class FeedForward : public Sublayer {
public:
    /// Adds to the residual.
    virtual void run(const SublayerRun& run) = 0;
};

}  // namespace molink
