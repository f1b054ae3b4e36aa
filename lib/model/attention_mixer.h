#pragma once

#include <memory>

#include <molink/model_spec.h>

#include "model/sublayer.h"

namespace molink {

/// Grouped-query attention over paged keys and values, with rotary positions, a window, and a norm
/// of queries and keys where the spec asks for them (Ainslie et al. 2023; Henry et al. 2020).
class AttentionMixer final : public Mixer {
public:
    AttentionMixer(const ModelSpec& spec, const LayerSpec& layer);

    std::uint64_t weight_bytes(const Backend& backend, DataType matrix_type) const override;
    std::size_t scratch_bytes(const Backend& backend, std::int64_t rows) const override;
    Status load(WeightLoader& loader, const LayerTensors& tensors) override;
    std::size_t cache_block_bytes(const Backend& backend, const CacheFormat& format) const override;
    KvPages cache_pages(const Backend& backend, const CacheFormat& format,
                        void* base) const override;
    void run(const SublayerRun& run, const KvPages& pages) override;

private:
    /// Offsets of arrays in the scratch memory, bytes.
    struct Arrays {
        std::size_t normed;     ///< [rows, hidden]
        std::size_t qkv;        ///< [rows, q + k + v]
        std::size_t attended;   ///< [rows, q]
        std::size_t projected;  ///< [rows, hidden]
        std::size_t workspace;  ///< of matmul
    };
    Arrays arrays(ElementType activations, std::int64_t rows) const;
    void normalise_heads(const SublayerRun& run, std::byte* qkv) const;
    void rotate(const SublayerRun& run, std::byte* qkv) const;
    void attend(const SublayerRun& run, const KvPages& pages, const std::byte* qkv,
                void* out) const;

    std::int64_t q_width() const { return std::int64_t{attention_.q_heads} * attention_.head_dim; }
    std::int64_t kv_width() const {
        return std::int64_t{attention_.kv_heads} * attention_.head_dim;
    }
    std::int64_t row_width() const { return q_width() + 2 * kv_width(); }

    AttentionSpec attention_;
    LayerSpec layer_;
    std::int64_t hidden_;
    std::int32_t rotary_dim_;
    bool interleaved_;
    float epsilon_;
    float residual_scale_;
    std::unique_ptr<DeviceBuffer> norm_;
    std::unique_ptr<PackedMatrix> qkv_;  // queries, keys, values stacked
    std::unique_ptr<DeviceBuffer> qkv_bias_;
    std::unique_ptr<DeviceBuffer> q_norm_;
    std::unique_ptr<DeviceBuffer> k_norm_;
    std::unique_ptr<PackedMatrix> o_;
    std::unique_ptr<DeviceBuffer> o_bias_;
};

}  // namespace molink
