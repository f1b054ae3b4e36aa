#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/device_batch.h"
#include "backend/device_copier.h"

namespace molink::bench {

/// Sizes of the measured model (160m).
inline constexpr std::int64_t kHidden = 768;
inline constexpr std::int64_t kLayers = 12;
inline constexpr std::int64_t kQHeads = 12;  ///< as many KV heads
inline constexpr std::int64_t kHeadDim = 64;
inline constexpr std::int64_t kFfn = 2048;
inline constexpr std::int64_t kVocabulary = 32000;
inline constexpr std::int64_t kMaxRows = 512;
inline constexpr std::int32_t kBlockTokens = 16;
inline constexpr std::int32_t kMaxBatch = 32;  ///< sequences that decode together

/// Packed random weights of one type. Backends that differ only in threads share them.
struct Weights {
    struct Layer {
        std::unique_ptr<PackedMatrix> qkv, out, gate_up, down;
    };
    std::vector<Layer> layers;
    std::unique_ptr<PackedMatrix> lm_head;
    DataType type = DataType::f32;

    static Weights make(Backend& backend, DataType type);
    /// Returns the bytes that one token reads.
    std::size_t bytes() const;
};

/// Runs all ops of a forward pass on a backend, and records the time that each kind of op takes.
class BenchModel {
public:
    /// `context`: positions of a decoding sequence, at most kMaxRows.
    BenchModel(Backend& backend, std::int32_t context);

    /// Computes rows of one sequence at positions [first, first + rows), without LM head.
    void prefill(const Weights& weights, std::int32_t first, std::int32_t rows);
    /// Computes the last position of `sequences` sequences, with LM head and argmax.
    void decode(const Weights& weights, std::int32_t sequences);
    /// Returns the operations of a prefill of `rows` rows from position 0.
    static double flops(std::int64_t rows);

    std::map<std::string, double> seconds;  ///< by kind of op, since the last clear

private:
    template <typename T>
    T* allocate(std::int64_t count, T value = {});
    template <typename T>
    T* put(const std::vector<T>& values);
    /// Appends a sequence with consecutive blocks.
    void add_sequence(std::int64_t first_block, std::int64_t blocks);
    void forward(const Weights& weights, std::int64_t rows);
    void layer(const Weights::Layer& weights, std::int64_t index, std::int64_t rows);
    void attention(std::int64_t index, std::int64_t rows);
    void matmul(const char* kind, const PackedMatrix& weight, const float* x, std::int64_t rows,
                float* y);
    void norm(const float* x, float* out, std::int64_t rows);
    void add(std::int64_t rows);
    template <typename Body>
    void timed(const char* kind, const Body& body);

    Backend& backend_;
    std::unique_ptr<Stream> stream_;
    DeviceCopier copier_;
    DeviceBatch batch_;
    std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
    std::int32_t context_;
    std::int64_t sequence_blocks_, blocks_;
    std::size_t page_bytes_;
    std::byte* pages_;
    float *x_, *normed_, *qkv_, *mixed_, *wide_, *gated_, *logits_, *ones_, *cos_, *sin_, *table_;
    void* workspace_;
    std::int32_t* best_;
};

}  // namespace molink::bench
