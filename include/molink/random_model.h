#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <molink/export.h>
#include <molink/model_spec.h>
#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// Dimensions of a model of the Llama family.
struct ModelShape {
    std::int32_t hidden = 0;
    std::int32_t layers = 0;
    std::int32_t q_heads = 0;
    std::int32_t kv_heads = 0;
    std::int32_t head_dim = 0;  ///< 0: hidden / q_heads
    std::int32_t ffn = 0;
    std::int32_t vocabulary = 0;
    std::int32_t context = 4096;
    bool tied_embeddings = false;
};

/// Returns the shape of "160m" or "1b". Errors: invalid_argument, listing the known names.
MOLINK_EXPORT Result<ModelShape> shape_by_name(std::string_view name);

struct RandomModelOptions {
    ModelShape shape;
    DataType type = DataType::bf16;  ///< f32, f16 or bf16
    std::uint64_t seed = 1;
    double rope_theta = 10000.0;
    std::optional<RopeSpec>
        rope_scaling;  ///< kinds linear, dynamic, llama3 and yarn; nullopt: none
    double norm_epsilon = 1e-5;
    Token bos_token = -1;              ///< -1: none
    std::vector<Token> eos_tokens;     ///< empty: none, so that outputs have the requested length
    std::int64_t max_shard_bytes = 0;  ///< 0: one file; otherwise the size of a shard
    /// The residual of a trained model has a few channels that are 20 to 100 times larger than the
    /// others and nearly the same for every token. Each number makes one channel that much larger:
    /// the embedding has it, and the weights of the norms make up for it, so that the layers see it
    /// as large as the others. The channels are evenly spread.
    std::vector<double> outliers;
    /// Factors of the embedding, of what attention and feed-forward add to the residual, and of the
    /// logits. At 1 the first layers decide everything, small errors grow from layer to layer, and
    /// all tokens are nearly equally likely. With sqrt(hidden), 1 / sqrt(2 * layers) and 4 the
    /// residual, the growth of errors and the logits have the magnitudes of trained models.
    double embedding_gain = 1.0;
    double sublayer_gain = 1.0;
    double logit_gain = 1.0;
};

/// Called while the model is written, with the bytes of weights written so far and in total.
using WriteProgress = std::function<void(std::int64_t written, std::int64_t total)>;

/// Writes a Hugging Face folder (config.json, generation_config.json, safetensors) with random
/// weights. Creates `dir` if it does not exist. The same options give the same bytes on every
/// machine. Weights are scaled so that activations keep their magnitude and logits differ. The
/// function needs a few MB of memory for any model. Errors: invalid_argument (shape),
/// failed_precondition (the folder already holds a model), unavailable or resource_exhausted
/// (cannot write; unfinished files are removed).
MOLINK_EXPORT Status write_random_model(const std::filesystem::path& dir,
                                        const RandomModelOptions& options,
                                        const WriteProgress& progress = nullptr);

}  // namespace molink
