#pragma once

#include <cstddef>
#include <cstdint>

#include <molink/status.h>

#include "backend/backend.h"
#include "model/arch_table.h"
#include "model/weight_loader.h"

namespace molink {

/// Arguments of sublayers while a part runs. Pointers are to device memory.
struct SublayerRun {
    Stream& stream;
    const BatchArgs& batch;
    float* hidden = nullptr;       ///< the residual, [batch.rows, hidden]; the sublayer adds to it
    const float* cos = nullptr;    ///< of rotary angles, [context, rotary_dim / 2]
    const float* sin = nullptr;    ///< of the same angles
    std::byte* scratch = nullptr;  ///< scratch_bytes(backend, max_rows) bytes, 64-byte aligned
    std::int64_t max_rows = 0;
    ElementType activations = ElementType::f32;  ///< of the device's traits
};

/// One half of a layer. It states its sizes before anything is loaded, loads its weights, and
/// enqueues its ops. The sublayers of a stage run one after the other and share their scratch
/// memory. Thread: one caller at a time.
class Sublayer {
public:
    virtual ~Sublayer() = default;

    /// Returns the bytes of its weights on the device when its matrices have `matrix_type`.
    virtual std::uint64_t weight_bytes(const Backend& backend, DataType matrix_type) const = 0;
    /// Returns the bytes of scratch memory that it needs for a part of `rows` rows.
    virtual std::size_t scratch_bytes(const Backend& backend, std::int64_t rows) const = 0;
    /// Loads its weights from `tensors`. Errors: those of WeightLoader.
    virtual Status load(WeightLoader& loader, const LayerTensors& tensors) = 0;
};

/// The format in which a stage caches earlier positions for its mixers.
struct CacheFormat {
    ElementType type = ElementType::f32;
    std::int32_t block_tokens = 16;
};

/// The half of a layer that combines positions, such as attention. Latent attention and recurrent
/// mixers would be others.
class Mixer : public Sublayer {
public:
    /// Returns the bytes of one cache block of this layer.
    virtual std::size_t cache_block_bytes(const Backend& backend,
                                          const CacheFormat& format) const = 0;
    /// Returns the layer's pages in the memory at `base`, for run().
    virtual KvPages cache_pages(const Backend& backend, const CacheFormat& format,
                                void* base) const = 0;
    /// Enqueues its ops, which add to the residual. They write the positions of the batch to
    /// `pages` before they read them.
    virtual void run(const SublayerRun& run, const KvPages& pages) = 0;
};

/// The half of a layer that computes every position separately, such as a dense feed-forward. A
/// mixture of experts would be another.
class FeedForward : public Sublayer {
public:
    /// Enqueues its ops, which add to the residual.
    virtual void run(const SublayerRun& run) = 0;
};

}  // namespace molink
