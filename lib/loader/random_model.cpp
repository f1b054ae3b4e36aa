// Models with random weights in the layout of a Hugging Face folder, for benchmarks and tests.
// Every weight is a pure function of (seed, tensor name, index), so the options alone reproduce a
// model. A weight is the sum of the four 16-bit pieces of a 64-bit hash, which is close enough to a
// normal distribution. Files are written under a temporary name and renamed when complete.
#include <molink/random_model.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/random.h"
#include "loader/file_writer.h"
#include "loader/model_files.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kChunkElements = 256u << 10;
constexpr double kQueryGain = 2.0;

struct PlannedTensor {
    std::string name;
    std::vector<std::int64_t> shape;
    double mean = 0;
    double deviation = 0;
    std::int64_t elements = 0;
    std::vector<float> means{};    ///< [columns] added to the elements; empty: nothing is
    std::vector<float> factors{};  ///< [columns] of the elements; empty: all 1
};

struct Shard {
    std::string file;
    std::vector<PlannedTensor> tensors;
    std::int64_t bytes = 0;
};

std::int32_t head_dim(const ModelShape& shape) {
    return shape.head_dim > 0 ? shape.head_dim : shape.hidden / shape.q_heads;
}

Status check_range(std::string_view what, std::int64_t value, std::int64_t min, std::int64_t max) {
    if (value >= min && value <= max) return {};
    return invalid_argument("random model: {} is {}, expected an integer in [{}, {}]", what, value,
                            min, max);
}

Status check_options(const RandomModelOptions& options) {
    const ModelShape& shape = options.shape;
    MOLINK_RETURN_IF_ERROR(check_range("hidden", shape.hidden, 1, limits::kMaxHidden));
    MOLINK_RETURN_IF_ERROR(check_range("layers", shape.layers, 1, limits::kMaxLayers));
    MOLINK_RETURN_IF_ERROR(check_range("q_heads", shape.q_heads, 1, limits::kMaxHeads));
    MOLINK_RETURN_IF_ERROR(check_range("kv_heads", shape.kv_heads, 1, shape.q_heads));
    MOLINK_RETURN_IF_ERROR(check_range("head_dim", shape.head_dim, 0, limits::kMaxHidden));
    MOLINK_RETURN_IF_ERROR(check_range("ffn", shape.ffn, 1, limits::kMaxFeedForward));
    MOLINK_RETURN_IF_ERROR(check_range("vocabulary", shape.vocabulary, 1, limits::kMaxVocabulary));
    MOLINK_RETURN_IF_ERROR(check_range("context", shape.context, 1, limits::kMaxContext));
    MOLINK_RETURN_IF_ERROR(check_range("bos_token", options.bos_token, -1, shape.vocabulary - 1));
    for (const Token token : options.eos_tokens) {
        MOLINK_RETURN_IF_ERROR(check_range("eos_token", token, 0, shape.vocabulary - 1));
    }
    MOLINK_RETURN_IF_ERROR(check_range("the number of outliers",
                                       static_cast<std::int64_t>(options.outliers.size()), 0,
                                       shape.hidden));
    for (const double factor : options.outliers) {
        if (factor >= 1e-6 && factor <= 1e6) continue;
        return invalid_argument("random model: an outlier is {}, expected a number in [1e-6, 1e6]",
                                factor);
    }
    if (shape.q_heads % shape.kv_heads != 0 || head_dim(shape) < 2 || head_dim(shape) % 2 != 0) {
        return invalid_argument(
            "random model: {} heads, {} KV heads and hidden {} do not fit together", shape.q_heads,
            shape.kv_heads, shape.hidden);
    }
    if (options.type != DataType::f32 && options.type != DataType::f16 &&
        options.type != DataType::bf16) {
        return invalid_argument("random model: weights cannot be stored as {}",
                                data_type_name(options.type));
    }
    return {};
}

// A standard deviation of 1 / sqrt(inputs) keeps the magnitude of activations. Queries and keys are
// twice as large. Otherwise attention is nearly uniform, and greedy output falls into cycles of two
// or three tokens. With this factor attention selects positions, and 32 greedy tokens of a 6-layer
// model have about 23 different ones.
std::vector<PlannedTensor> plan_tensors(const ModelShape& shape) {
    std::vector<PlannedTensor> plan;
    const auto add = [&plan](std::string name, std::vector<std::int64_t> dims, double mean,
                             double deviation) {
        std::int64_t elements = 1;
        for (const std::int64_t dim : dims) elements *= dim;
        plan.push_back({std::move(name), std::move(dims), mean, deviation, elements});
    };
    const auto matrix = [&add](const std::string& name, std::int64_t rows, std::int64_t columns,
                               double gain = 1.0) {
        add(name + ".weight", {rows, columns}, 0.0, gain / std::sqrt(static_cast<double>(columns)));
    };
    const auto norm = [&add, &shape](const std::string& name) {
        add(name + ".weight", {shape.hidden}, 1.0, 0.1);
    };
    const std::int64_t query = std::int64_t{shape.q_heads} * head_dim(shape);
    const std::int64_t key = std::int64_t{shape.kv_heads} * head_dim(shape);
    matrix("model.embed_tokens", shape.vocabulary, shape.hidden);
    for (std::int32_t layer = 0; layer < shape.layers; ++layer) {
        const std::string prefix = fmt::format("model.layers.{}.", layer);
        norm(prefix + "input_layernorm");
        matrix(prefix + "self_attn.q_proj", query, shape.hidden, kQueryGain);
        matrix(prefix + "self_attn.k_proj", key, shape.hidden, kQueryGain);
        matrix(prefix + "self_attn.v_proj", key, shape.hidden);
        matrix(prefix + "self_attn.o_proj", shape.hidden, query);
        norm(prefix + "post_attention_layernorm");
        matrix(prefix + "mlp.gate_proj", shape.ffn, shape.hidden);
        matrix(prefix + "mlp.up_proj", shape.ffn, shape.hidden);
        matrix(prefix + "mlp.down_proj", shape.hidden, shape.ffn);
    }
    norm("model.norm");
    if (!shape.tied_embeddings) matrix("lm_head", shape.vocabulary, shape.hidden);
    return plan;
}

/// Returns the size of each channel of the residual.
std::vector<float> channel_sizes(const RandomModelOptions& options) {
    const auto hidden = static_cast<std::size_t>(options.shape.hidden);
    std::vector<float> sizes(hidden, 1.0f);
    const std::size_t count = options.outliers.size();
    for (std::size_t i = 0; i < count; ++i) {
        sizes[(2 * i + 1) * hidden / (2 * count)] = static_cast<float>(options.outliers[i]);
    }
    return sizes;
}

/// Gives the embedding its outlier channels. Norms divide by their sizes, and multiply by how much
/// they raise the root of the mean square.
void add_outliers(const RandomModelOptions& options, std::vector<PlannedTensor>& plan) {
    const std::vector<float> sizes = channel_sizes(options);
    float squares = 0;
    for (const float size : sizes) squares += size * size;
    const float root = std::sqrt(squares / static_cast<float>(sizes.size()));
    for (PlannedTensor& tensor : plan) {
        const bool norm = tensor.name.ends_with("norm.weight");
        const auto deviation = static_cast<float>(tensor.deviation);
        for (const float size : sizes) {
            if (norm) tensor.factors.push_back(root / size);
            if (tensor.name == "model.embed_tokens.weight") {
                tensor.means.push_back(size == 1 ? 0.0f : size * deviation);
            }
        }
    }
}

void apply_gains(const RandomModelOptions& options, std::vector<PlannedTensor>& plan) {
    for (PlannedTensor& tensor : plan) {
        const std::string_view name = tensor.name;
        const bool last = name == "model.norm.weight";
        const bool sublayer = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        const double gain = last                                  ? options.logit_gain
                            : name == "model.embed_tokens.weight" ? options.embedding_gain
                            : sublayer                            ? options.sublayer_gain
                                                                  : 1.0;
        tensor.mean *= gain;
        tensor.deviation *= gain;
    }
}

std::vector<Shard> plan_shards(std::vector<PlannedTensor> tensors, std::int64_t element_bytes,
                               std::int64_t max_bytes) {
    std::vector<Shard> shards(1);
    for (PlannedTensor& tensor : tensors) {
        const std::int64_t bytes = tensor.elements * element_bytes;
        if (max_bytes > 0 && shards.back().bytes > 0 && shards.back().bytes + bytes > max_bytes) {
            shards.emplace_back();
        }
        shards.back().bytes += bytes;
        shards.back().tensors.push_back(std::move(tensor));
    }
    for (std::size_t i = 0; i < shards.size(); ++i) {
        shards[i].file = max_bytes > 0
                             ? fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size())
                             : std::string(model_files::kWeights);
    }
    return shards;
}

std::string stored_name(DataType type) {
    return type == DataType::f32 ? "F32" : type == DataType::f16 ? "F16" : "BF16";
}

// Returns the header, padded with blanks so that the data begins at a multiple of 64 bytes.
std::string header_text(const Shard& shard, DataType type) {
    ordered_json header;
    header["__metadata__"]["format"] = "pt";
    std::int64_t offset = 0;
    for (const PlannedTensor& tensor : shard.tensors) {
        const std::int64_t end =
            offset + tensor.elements * static_cast<std::int64_t>(data_type_bytes(type));
        ordered_json& entry = header[tensor.name];
        entry["dtype"] = stored_name(type);
        entry["shape"] = tensor.shape;
        entry["data_offsets"] = {offset, end};
        offset = end;
    }
    std::string text = header.dump();
    text.append((64 - (text.size() + 8) % 64) % 64, ' ');
    std::string length(8, '\0');
    write_le<std::uint64_t>(std::as_writable_bytes(std::span(length)), 0, text.size());
    return length + text;
}

// Returns the sum of four uniform 16-bit numbers, scaled to mean 0 and standard deviation 1.
float weight_at(std::uint64_t key, std::uint64_t index) {
    constexpr double kMean = 2.0 * 65535.0;
    constexpr double kInverseDeviation = 1.0 / 37837.227;  // sqrt(4 * (2^32 - 1) / 12)
    const std::uint64_t bits = mix64(key + (index + 1) * 0x9e3779b97f4a7c15ull);
    const std::uint64_t pairs =
        (bits & 0x0000ffff0000ffffull) + ((bits >> 16) & 0x0000ffff0000ffffull);
    const auto sum = static_cast<std::int32_t>((pairs & 0xffffffffull) + (pairs >> 32));
    return static_cast<float>((static_cast<double>(sum) - kMean) * kInverseDeviation);
}

void fill(const PlannedTensor& tensor, std::uint64_t key, std::int64_t begin,
          std::span<float> out) {
    const auto mean = static_cast<float>(tensor.mean);
    const auto deviation = static_cast<float>(tensor.deviation);
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = mean + deviation * weight_at(key, static_cast<std::uint64_t>(begin) + i);
    }
    const auto columns = static_cast<std::size_t>(tensor.shape.back());
    for (std::size_t i = 0; i < out.size() && !tensor.means.empty(); ++i) {
        out[i] += tensor.means[(static_cast<std::size_t>(begin) + i) % columns];
    }
    for (std::size_t i = 0; i < out.size() && !tensor.factors.empty(); ++i) {
        out[i] *= tensor.factors[(static_cast<std::size_t>(begin) + i) % columns];
    }
}

void convert(std::span<const float> values, DataType type, Bytes& out) {
    out.resize(values.size() * data_type_bytes(type));
    if (type == DataType::f32) {
        std::memcpy(out.data(), values.data(), out.size());
        return;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint16_t bits =
            type == DataType::bf16 ? f32_to_bf16(values[i]) : f32_to_f16(values[i]);
        std::memcpy(out.data() + 2 * i, &bits, 2);
    }
}

class WeightWriter {
public:
    WeightWriter(const RandomModelOptions& options, const WriteProgress& progress,
                 std::int64_t total)
        : options_(options), progress_(progress), total_(total) {}

    Status write(const Shard& shard, FileWriter& file) {
        const std::string header = header_text(shard, options_.type);
        MOLINK_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(header))));
        for (const PlannedTensor& tensor : shard.tensors) {
            MOLINK_RETURN_IF_ERROR(write_tensor(tensor, file));
        }
        return {};
    }

private:
    Status write_tensor(const PlannedTensor& tensor, FileWriter& file) {
        const std::uint64_t key = hash_string(tensor.name, options_.seed);
        for (std::int64_t begin = 0; begin < tensor.elements;) {
            const auto left = static_cast<std::size_t>(tensor.elements - begin);
            values_.resize(std::min(kChunkElements, left));
            fill(tensor, key, begin, values_);
            convert(values_, options_.type, bytes_);
            MOLINK_RETURN_IF_ERROR(file.write(bytes_));
            begin += static_cast<std::int64_t>(values_.size());
            written_ += static_cast<std::int64_t>(bytes_.size());
            if (progress_) progress_(written_, total_);
        }
        return {};
    }

    const RandomModelOptions& options_;
    const WriteProgress& progress_;
    std::int64_t total_ = 0;
    std::int64_t written_ = 0;
    std::vector<float> values_;
    Bytes bytes_;
};

Result<ordered_json> rope_scaling_json(const RopeSpec& rope) {
    ordered_json out;
    switch (rope.scaling) {
        case RopeScalingKind::none:
            return invalid_argument("random model: rope scaling is given, but its kind is none");
        case RopeScalingKind::linear: out["rope_type"] = "linear"; break;
        case RopeScalingKind::dynamic: out["rope_type"] = "dynamic"; break;
        case RopeScalingKind::llama3: out["rope_type"] = "llama3"; break;
        case RopeScalingKind::yarn: out["rope_type"] = "yarn"; break;
    }
    out["factor"] = rope.factor;
    if (rope.scaling == RopeScalingKind::llama3) {
        out["low_freq_factor"] = rope.low_freq_factor;
        out["high_freq_factor"] = rope.high_freq_factor;
    }
    if (rope.scaling == RopeScalingKind::yarn) {
        out["beta_fast"] = rope.beta_fast;
        out["beta_slow"] = rope.beta_slow;
        if (rope.attention_factor > 0) out["attention_factor"] = rope.attention_factor;
    }
    if (rope.original_context > 0) out["original_max_position_embeddings"] = rope.original_context;
    return out;
}

void set_tokens(ordered_json& out, const RandomModelOptions& options) {
    out["bos_token_id"] = nullptr;
    if (options.bos_token >= 0) out["bos_token_id"] = options.bos_token;
    out["eos_token_id"] = nullptr;
    if (options.eos_tokens.size() == 1) out["eos_token_id"] = options.eos_tokens.front();
    if (options.eos_tokens.size() > 1) out["eos_token_id"] = options.eos_tokens;
}

Result<std::string> config_text(const RandomModelOptions& options) {
    const ModelShape& shape = options.shape;
    ordered_json config;
    config["architectures"] = {"LlamaForCausalLM"};
    config["model_type"] = "llama";
    config["hidden_size"] = shape.hidden;
    config["intermediate_size"] = shape.ffn;
    config["num_hidden_layers"] = shape.layers;
    config["num_attention_heads"] = shape.q_heads;
    config["num_key_value_heads"] = shape.kv_heads;
    config["head_dim"] = head_dim(shape);
    config["vocab_size"] = shape.vocabulary;
    config["max_position_embeddings"] = shape.context;
    config["rms_norm_eps"] = options.norm_epsilon;
    config["rope_theta"] = options.rope_theta;
    config["rope_scaling"] = nullptr;
    if (options.rope_scaling) {
        MOLINK_ASSIGN_OR_RETURN(config["rope_scaling"], rope_scaling_json(*options.rope_scaling));
    }
    config["hidden_act"] = "silu";
    config["attention_bias"] = false;
    config["attention_dropout"] = 0.0;
    config["mlp_bias"] = false;
    config["initializer_range"] = 0.02;
    config["tie_word_embeddings"] = shape.tied_embeddings;
    config["use_cache"] = true;
    config["torch_dtype"] = options.type == DataType::f32   ? "float32"
                            : options.type == DataType::f16 ? "float16"
                                                            : "bfloat16";
    set_tokens(config, options);
    return config.dump(2) + "\n";
}

std::string index_text(const std::vector<Shard>& shards, std::int64_t total) {
    ordered_json index;
    index["metadata"]["total_size"] = total;
    for (const Shard& shard : shards) {
        for (const PlannedTensor& tensor : shard.tensors)
            index["weight_map"][tensor.name] = shard.file;
    }
    return index.dump(2) + "\n";
}

Status refuse_existing_model(const std::filesystem::path& dir) {
    for (const char* name :
         {model_files::kConfig, model_files::kWeights, model_files::kWeightIndex}) {
        std::error_code error;
        if (std::filesystem::exists(dir / name, error)) {
            return make_error(
                StatusCode::failed_precondition,
                "write random model to {}: {} is already there; choose another folder or "
                "remove the model first",
                dir.string(), name);
        }
    }
    return {};
}

}  // namespace

Result<ModelShape> shape_by_name(std::string_view name) {
    ModelShape shape;
    shape.vocabulary = 32000;
    if (name == "160m") {
        shape.hidden = 768;
        shape.layers = 12;
        shape.q_heads = shape.kv_heads = 12;
        shape.ffn = 2048;
        return shape;
    }
    if (name == "1b") {
        shape.hidden = 2048;
        shape.layers = 16;
        shape.q_heads = 32;
        shape.kv_heads = 8;
        shape.ffn = 8192;
        return shape;
    }
    return invalid_argument("random model: no shape is called '{}'; known are 160m and 1b", name);
}

Status write_random_model(const std::filesystem::path& dir, const RandomModelOptions& options,
                          const WriteProgress& progress) {
    MOLINK_RETURN_IF_ERROR(check_options(options));
    MOLINK_ASSIGN_OR_RETURN(const std::string config, config_text(options));
    MOLINK_RETURN_IF_ERROR(refuse_existing_model(dir));
    std::error_code error;
    std::filesystem::create_directories(dir, error);
    if (error) {
        return make_error(StatusCode::unavailable, "create folder {}: {}", dir.string(),
                          error.message());
    }
    const auto element_bytes = static_cast<std::int64_t>(data_type_bytes(options.type));
    std::vector<PlannedTensor> tensors = plan_tensors(options.shape);
    apply_gains(options, tensors);
    if (!options.outliers.empty()) add_outliers(options, tensors);
    const std::vector<Shard> shards =
        plan_shards(std::move(tensors), element_bytes, options.max_shard_bytes);
    std::int64_t total = 0;
    for (const Shard& shard : shards) total += shard.bytes;

    FileSet files(dir);
    WeightWriter weights(options, progress, total);
    for (const Shard& shard : shards) {
        MOLINK_RETURN_IF_ERROR(
            files.add(shard.file, [&](FileWriter& file) { return weights.write(shard, file); }));
    }
    if (options.max_shard_bytes > 0) {
        MOLINK_RETURN_IF_ERROR(
            files.add_text(model_files::kWeightIndex, index_text(shards, total)));
    }
    ordered_json generation;
    set_tokens(generation, options);
    MOLINK_RETURN_IF_ERROR(files.add_text(model_files::kGeneration, generation.dump(2) + "\n"));
    MOLINK_RETURN_IF_ERROR(files.add_text(model_files::kConfig, config));
    return files.commit();
}

}  // namespace molink
