#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include <molink/model_spec.h>
#include <molink/status.h>
#include <molink/types.h>

/// A model that is small enough for a unit test. The greedy outputs of the default model have many
/// different tokens.
struct TinyModelOptions {
    std::int32_t layers = 6;
    std::int32_t hidden = 64;
    std::int32_t q_heads = 4;
    std::int32_t kv_heads = 2;
    std::int32_t head_dim = 0;  ///< 0: hidden / heads
    std::int32_t ffn = 96;
    std::int32_t vocabulary = 272;  ///< at least 258 with a tokenizer
    std::int32_t context = 512;
    molink::DataType type = molink::DataType::f32;
    bool tied = false;
    std::optional<molink::RopeSpec> rope_scaling;
    std::uint64_t seed = 3;
    std::vector<molink::Token> eos_tokens;  ///< empty: only max_tokens ends an output
    std::int64_t max_shard_bytes = 0;       ///< 0: one file
    bool tokenizer = true;
};

/// Ids of the tokenizer's special tokens. The 256 bytes have their values as ids.
inline constexpr molink::Token kTinyBos = 256;
inline constexpr molink::Token kTinyEos = 257;

/// Llama 3.1's rope scaling, shrunk to tiny contexts.
molink::RopeSpec tiny_llama3_scaling();

/// Writes config.json, generation_config.json, model.safetensors and a byte-level tokenizer.json
/// into `dir`. The tokens are the bytes, <|begin|>, <|end|>, and reserved ones up to the
/// vocabulary; there are no merges.
molink::Status write_tiny_model(const std::filesystem::path& dir,
                                const TinyModelOptions& options = {});
