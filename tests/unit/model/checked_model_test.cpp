// Configurations and weights that contradict each other. Each contradiction is an error or a
// warning that names both.
#include "model/checked_model.h"

#include <algorithm>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "loader/checkpoint.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using nlohmann::json;

namespace {

/// A small model on disk whose files a test changes.
class ChangedModel {
public:
    explicit ChangedModel(TinyModelOptions options = {}) {
        options.layers = 2;
        REQUIRE(write_tiny_model(dir.path(), options).ok());
    }

    void config(const std::function<void(json&)>& change, const char* file = "config.json") {
        json root = json::parse(read_file(dir / file));
        change(root);
        write_file(dir / file, root.dump());
    }

    /// Gives the header and the data of a weight file to `change`.
    void weights(const std::function<void(json& header, std::string& data)>& change,
                 const std::string& file = "model.safetensors") {
        std::string bytes = read_file(dir / file);
        const auto length =
            read_le<std::uint64_t>(std::as_bytes(std::span(bytes.data(), bytes.size())), 0);
        json header = json::parse(bytes.substr(8, length));
        std::string data = bytes.substr(8 + length);
        change(header, data);
        const std::string text = header.dump();
        std::string out(8, '\0');
        write_le<std::uint64_t>(std::as_writable_bytes(std::span(out.data(), 8)), 0, text.size());
        write_file(dir / file, out + text + data);
    }

    /// Adds a tensor of float32 zeros, or of ones.
    void add(const std::string& name, const std::vector<std::int64_t>& shape, bool ones = false) {
        weights([&](json& header, std::string& data) {
            std::size_t count = 1;
            for (const std::int64_t dim : shape) count *= static_cast<std::size_t>(dim);
            const std::string one =
                ones ? std::string("\x00\x00\x80\x3f", 4) : std::string(4, '\0');
            header[name] = {{"dtype", "F32"},
                            {"shape", shape},
                            {"data_offsets", {data.size(), data.size() + 4 * count}}};
            for (std::size_t i = 0; i < count; ++i) data += one;
        });
    }

    Result<std::shared_ptr<const OpenedModel>> open() const { return open_model(dir.path()); }

    void refused(StatusCode code, const std::vector<std::string>& texts) const {
        const auto model = open();
        INFO(model.status().to_string());
        REQUIRE_FALSE(model.has_value());
        CHECK(model.error().code() == code);
        for (const std::string& text : texts) {
            INFO(text);
            CHECK(model.error().message().find(text) != std::string::npos);
        }
    }

    /// Opens the model, which must give one warning with these texts.
    ModelSpec warned(const std::vector<std::string>& texts) const {
        const auto model = open();
        INFO(model.status().to_string());
        REQUIRE(model.has_value());
        REQUIRE((*model)->described.warnings.size() == 1);
        const std::string& warning = (*model)->described.warnings.front();
        INFO(warning);
        for (const std::string& text : texts) CHECK(warning.find(text) != std::string::npos);
        return (*model)->described.spec;
    }

    TempDir dir;
};

}  // namespace

TEST_CASE("a model without contradictions gives no warning") {
    for (const bool tied : {false, true}) {
        for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16}) {
            for (const std::int64_t shard : {0, 100'000}) {
                TinyModelOptions options;
                options.tied = tied;
                options.type = type;
                options.max_shard_bytes = shard;
                const ChangedModel model(options);
                const auto opened = model.open();
                INFO(opened.status().to_string());
                REQUIRE(opened.has_value());
                CHECK((*opened)->described.warnings.empty());
                CHECK((*opened)->described.spec.stored_type == type);
                CHECK((*opened)->described.spec.tied_embeddings == tied);
            }
        }
    }
}

TEST_CASE("sizes in the configuration must be those of the tensors") {
    const auto differs = [](const char* key, int value, const char* tensor) {
        ChangedModel model;
        model.config([&](json& config) { config[key] = value; });
        model.refused(StatusCode::data_loss, {tensor, "the configuration asks for"});
    };
    differs("vocab_size", 271, "model.embed_tokens.weight");
    differs("hidden_size", 128, "input_layernorm.weight");
    differs("intermediate_size", 97, "mlp.gate_proj.weight");
    differs("num_key_value_heads", 4, "self_attn.k_proj.weight");
    differs("head_dim", 32, "self_attn.q_proj.weight");
    ChangedModel more;
    more.config([](json& config) { config["num_hidden_layers"] = 3; });
    more.refused(StatusCode::not_found, {"model.layers.2.input_layernorm.weight"});
    ChangedModel fewer;
    fewer.config([](json& config) { config["num_hidden_layers"] = 1; });
    fewer.refused(StatusCode::data_loss, {"config.json", "9 tensors", "model.layers.1."});
}

TEST_CASE("a flag must agree with the tensors") {
    ChangedModel unused;
    unused.add("model.layers.0.self_attn.q_proj.bias", {64});
    unused.refused(StatusCode::data_loss,
                   {"config.json", "1 tensors", "model.layers.0.self_attn.q_proj.bias"});
    ChangedModel missing;
    missing.config([](json& config) { config["attention_bias"] = true; });
    missing.refused(StatusCode::not_found, {"model.layers.0.self_attn.q_proj.bias"});
    ChangedModel relabelled;
    relabelled.add("model.layers.0.self_attn.q_norm.weight", {16});
    relabelled.refused(StatusCode::data_loss, {"model.layers.0.self_attn.q_norm.weight"});
    ChangedModel buffers;
    buffers.add("model.layers.0.self_attn.rotary_emb.inv_freq", {8});
    CHECK(buffers.open().has_value());
}

TEST_CASE("a tied LM head that is stored with other values is used, with a warning") {
    TinyModelOptions options;
    options.tied = true;
    ChangedModel other(options);
    other.add("lm_head.weight", {272, 64}, true);
    const ModelSpec spec = other.warned(
        {"config.json", "tie_word_embeddings is true", "lm_head.weight", "embed_tokens"});
    CHECK_FALSE(spec.tied_embeddings);
    ChangedModel same(options);
    same.weights([](json& header, std::string& data) {
        const json entry = header["model.embed_tokens.weight"];
        const auto begin = entry["data_offsets"][0].get<std::size_t>();
        const auto end = entry["data_offsets"][1].get<std::size_t>();
        header["lm_head.weight"] = entry;
        header["lm_head.weight"]["data_offsets"] = {data.size(), data.size() + end - begin};
        data += data.substr(begin, end - begin);
    });
    const auto opened = same.open();
    INFO(opened.status().to_string());
    REQUIRE(opened.has_value());
    CHECK((*opened)->described.warnings.empty());
    CHECK((*opened)->described.spec.tied_embeddings);
}

TEST_CASE("an LM head that is neither stored nor tied is missing") {
    TinyModelOptions options;
    options.tied = true;
    ChangedModel model(options);
    model.config([](json& config) { config["tie_word_embeddings"] = false; });
    model.refused(StatusCode::not_found,
                  {"config.json", "tie_word_embeddings is false", "lm_head.weight"});
}

TEST_CASE("the stored type of weights is used, with a warning when another one is stated") {
    ChangedModel stated;
    stated.config([](json& config) { config["torch_dtype"] = "bfloat16"; });
    CHECK(stated.warned({"config.json", "bf16", "f32"}).stored_type == DataType::f32);
    ChangedModel silent;
    silent.config([](json& config) { config.erase("torch_dtype"); });
    REQUIRE(silent.open().has_value());
    CHECK((*silent.open())->described.warnings.empty());
    ChangedModel twice;
    twice.config([](json& config) { config["dtype"] = "float16"; });
    twice.refused(StatusCode::invalid_argument, {"dtype is 'float16'", "torch_dtype is 'float32'"});
}

TEST_CASE("names of the architecture must agree") {
    ChangedModel type;
    type.config([](json& config) { config["model_type"] = "qwen3"; });
    type.refused(StatusCode::invalid_argument, {"'qwen3'", "LlamaForCausalLM", "'llama'"});
    ChangedModel two;
    two.config([](json& config) {
        config["architectures"] = {"LlamaForCausalLM", "MistralForCausalLM"};
    });
    two.refused(StatusCode::invalid_argument, {"LlamaForCausalLM", "MistralForCausalLM"});
    ChangedModel quantised;
    quantised.config([](json& config) { config["quantization_config"] = {{"bits", 4}}; });
    quantised.refused(StatusCode::unimplemented, {"quantization_config"});
}

TEST_CASE("rope settings that are stated twice are compared") {
    ChangedModel theta;
    theta.config([](json& config) {
        config["rope_theta"] = 10000.0;
        config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 5000.0}};
    });
    CHECK(theta.warned({"rope_theta is 10000", "5000 in"}).rope.theta == 5000.0);
    ChangedModel objects;
    objects.config([](json& config) {
        config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}};
        config["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}};
    });
    CHECK(objects.warned({"rope_scaling", "2.0", "rope_parameters", "4.0"}).rope.factor == 2.0);
    ChangedModel kinds;
    kinds.config([](json& config) {
        config["rope_scaling"] = {{"rope_type", "linear"}, {"type", "llama3"}, {"factor", 2.0}};
    });
    kinds.refused(StatusCode::invalid_argument, {"rope_type is 'linear'", "type is 'llama3'"});
}

TEST_CASE("tokens that end a sequence are compared between the configurations") {
    TinyModelOptions options;
    options.eos_tokens = {7};
    ChangedModel longer(options);
    longer.config([](json& config) { config["eos_token_id"] = {7, 9}; }, "generation_config.json");
    REQUIRE(longer.open().has_value());
    CHECK((*longer.open())->described.warnings.empty());
    ChangedModel other(options);
    other.config([](json& config) { config["eos_token_id"] = 9; }, "generation_config.json");
    CHECK(other.warned({"eos_token_id is 7, but 9 in", "generation_config.json"}).eos_tokens ==
          std::vector<Token>{9});
}

TEST_CASE("an index is compared with its shards") {
    TinyModelOptions options;
    options.max_shard_bytes = 100'000;
    const char* const file = "model.safetensors.index.json";
    ChangedModel size(options);
    size.config([](json& index) { index["metadata"]["total_size"] = 12345; }, file);
    size.warned({file, "12345", "the files hold"});
    ChangedModel more(options);
    more.config(
        [](json& index) {
            index["weight_map"]["ghost.inv_freq"] = index["weight_map"]["model.norm.weight"];
        },
        file);
    more.warned({file, "ghost.inv_freq", "no file has it"});
    ChangedModel moved(options);
    moved.config(
        [](json& index) {
            index["weight_map"]["model.norm.weight"] =
                index["weight_map"]["model.embed_tokens.weight"];
        },
        file);
    moved.refused(StatusCode::data_loss, {"model.norm.weight", file, "it is in"});
    ChangedModel fewer(options);
    fewer.config([](json& index) { index["weight_map"].erase("model.norm.weight"); }, file);
    fewer.refused(StatusCode::not_found, {"model.norm.weight"});
    ChangedModel both(options);
    const std::string first = Checkpoint::open(both.dir.path())->files().front();
    both.weights(
        [](json& header, std::string& data) {
            header["model.norm.weight"] = {
                {"dtype", "F32"}, {"shape", {1}}, {"data_offsets", {data.size(), data.size() + 4}}};
            data += "\x01\x02\x03\x04";
        },
        std::filesystem::path(first).filename().string());
    both.refused(StatusCode::data_loss, {"model.norm.weight", " is in ", " and in "});
}

TEST_CASE("one file beside an index is told") {
    ChangedModel model;
    write_file(model.dir / "model.safetensors.index.json", R"({"weight_map": {"a": "x"}})");
    model.warned({"model.safetensors", "model.safetensors.index.json", "the former is read"});
}
