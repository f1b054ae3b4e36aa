// Random models: folders are complete, equal options give equal bytes, an existing model is never
// overwritten, and nothing is left behind when the disk is full.
#include <molink/random_model.h>

#include <signal.h>
#include <sys/resource.h>

#include <array>
#include <cmath>
#include <cstring>
#include <set>
#include <string>

#include "loader/checkpoint.h"
#include "loader/config_file.h"
#include "loader/file_writer.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "tensor/dtype.h"

using namespace molink;

namespace {

RandomModelOptions small_options() {
    RandomModelOptions options;
    options.shape.hidden = 32;
    options.shape.layers = 2;
    options.shape.q_heads = 4;
    options.shape.kv_heads = 2;
    options.shape.ffn = 48;
    options.shape.vocabulary = 100;
    return options;
}

std::vector<std::string> entries(const std::filesystem::path& dir) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir)) {
        names.insert(entry.path().filename().string());
    }
    return {names.begin(), names.end()};
}

// Returns the mean and the standard deviation of a bf16 tensor.
std::pair<double, double> moments(const Checkpoint& checkpoint, const std::string& name) {
    const Bytes stored = read_tensor(checkpoint, checkpoint.tensor(name).value()).value();
    double sum = 0;
    double squares = 0;
    const std::size_t count = stored.size() / 2;
    for (std::size_t i = 0; i < count; ++i) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, stored.data() + 2 * i, 2);
        const double value = bf16_to_f32(bits);
        sum += value;
        squares += value * value;
    }
    const double mean = sum / static_cast<double>(count);
    return {mean, std::sqrt(squares / static_cast<double>(count) - mean * mean)};
}

}  // namespace

TEST_CASE("shapes have names", "[random_model]") {
    const ModelShape small = shape_by_name("160m").value();
    CHECK(small.hidden == 768);
    CHECK(small.layers == 12);
    CHECK(small.q_heads == 12);
    CHECK(small.kv_heads == 12);
    CHECK(small.ffn == 2048);
    CHECK(small.vocabulary == 32000);
    const ModelShape big = shape_by_name("1b").value();
    CHECK(big.hidden == 2048);
    CHECK(big.layers == 16);
    CHECK(big.q_heads == 32);
    CHECK(big.kv_heads == 8);
    CHECK(big.ffn == 8192);
    CHECK(big.vocabulary == 32000);
    CHECK(big.context == 4096);
    CHECK_FALSE(big.tied_embeddings);
    const auto unknown = shape_by_name("7b");
    REQUIRE_FALSE(unknown.has_value());
    CHECK(unknown.error().message().find("160m and 1b") != std::string::npos);
}

TEST_CASE("a folder is complete and says what it is", "[random_model]") {
    const TempDir dir;
    RandomModelOptions options = small_options();
    options.eos_tokens = {7, 9};
    options.bos_token = 3;
    std::int64_t last = 0;
    std::int64_t all = 0;
    REQUIRE(write_random_model(dir / "deep/model", options,
                               [&](std::int64_t written, std::int64_t total) {
                                   CHECK(written > last);
                                   last = written;
                                   all = total;
                               })
                .ok());
    CHECK(last == all);
    CHECK(entries(dir / "deep/model") ==
          std::vector<std::string>{"config.json", "generation_config.json", "model.safetensors"});
    const ConfigFile config = ConfigFile::load(dir / "deep/model").value();
    CHECK(config.string_list("architectures").value() ==
          std::vector<std::string>{"LlamaForCausalLM"});
    CHECK(config.int64("num_key_value_heads").value() == 2);
    CHECK(config.int64("head_dim").value() == 8);
    CHECK(config.string("torch_dtype").value() == "bfloat16");
    CHECK(config.eos_tokens(100).value() == std::vector<Token>{7, 9});
    CHECK(config.bos_token(100).value() == 3);
    const Checkpoint checkpoint = Checkpoint::open(dir / "deep/model").value();
    CHECK(checkpoint.names().size() == 2 * 9 + 3);
    CHECK(checkpoint.tensor("lm_head.weight", std::array<std::int64_t, 2>{100, 32}).has_value());
    CHECK(checkpoint
              .tensor("model.layers.1.self_attn.k_proj.weight", std::array<std::int64_t, 2>{16, 32})
              .has_value());
    const auto [norm_mean, norm_deviation] =
        moments(checkpoint, "model.layers.0.input_layernorm.weight");
    CHECK(norm_mean == Approx(1.0).margin(0.1));
    CHECK(norm_deviation == Approx(0.1).margin(0.05));
    const auto [mean, deviation] = moments(checkpoint, "lm_head.weight");
    CHECK(mean == Approx(0.0).margin(0.01));
    CHECK(deviation == Approx(1 / std::sqrt(32.0)).epsilon(0.05));
}

TEST_CASE("equal options give equal bytes", "[random_model]") {
    const TempDir dir;
    RandomModelOptions options = small_options();
    REQUIRE(write_random_model(dir / "a", options).ok());
    REQUIRE(write_random_model(dir / "b", options).ok());
    options.seed = 2;
    REQUIRE(write_random_model(dir / "c", options).ok());
    CHECK(read_file(dir / "a/model.safetensors") == read_file(dir / "b/model.safetensors"));
    CHECK(read_file(dir / "a/model.safetensors") != read_file(dir / "c/model.safetensors"));
}

TEST_CASE("shards hold the same weights as one file", "[random_model]") {
    const TempDir dir;
    RandomModelOptions options = small_options();
    options.type = DataType::f32;
    REQUIRE(write_random_model(dir / "one", options).ok());
    options.max_shard_bytes = 20'000;
    REQUIRE(write_random_model(dir / "many", options).ok());
    const Checkpoint one = Checkpoint::open(dir / "one").value();
    const Checkpoint many = Checkpoint::open(dir / "many").value();
    CHECK(many.files().size() > 2);
    REQUIRE(one.names() == many.names());
    for (const std::string& name : one.names()) {
        const StoredTensor a = one.tensor(name).value();
        const StoredTensor b = many.tensor(name, a.shape).value();
        CHECK(read_tensor(one, a).value() == read_tensor(many, b).value());
    }
}

TEST_CASE("tied models have no tensor for the LM head", "[random_model]") {
    const TempDir dir;
    RandomModelOptions options = small_options();
    options.shape.tied_embeddings = true;
    options.rope_scaling = tiny_llama3_scaling();
    REQUIRE(write_random_model(dir / "m", options).ok());
    CHECK_FALSE(Checkpoint::open(dir / "m")->has("lm_head.weight"));
    const ConfigFile config = ConfigFile::load(dir / "m").value();
    CHECK(config.boolean("tie_word_embeddings").value());
    CHECK(config.object("rope_scaling")->string("rope_type").value() == "llama3");
    CHECK(config.object("rope_scaling")->int64("original_max_position_embeddings").value() == 64);
}

TEST_CASE("a folder that holds a model is left alone", "[random_model]") {
    for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json"}) {
        const TempDir dir;
        write_file(dir / name, "mine");
        const Status status = write_random_model(dir.path(), small_options());
        CHECK(status.code() == StatusCode::failed_precondition);
        CHECK(status.message().find(name) != std::string::npos);
        CHECK(read_file(dir / name) == "mine");
        CHECK(entries(dir.path()).size() == 1);
    }
}

TEST_CASE("impossible shapes and options are refused", "[random_model]") {
    const TempDir dir;
    const auto refused = [&](auto change) {
        RandomModelOptions options = small_options();
        change(options);
        const Status status = write_random_model(dir / "m", options);
        INFO(status.to_string());
        CHECK(status.code() == StatusCode::invalid_argument);
        CHECK_FALSE(std::filesystem::exists(dir / "m"));
    };
    refused([](RandomModelOptions& o) { o.shape.hidden = 0; });
    refused([](RandomModelOptions& o) { o.shape.layers = -1; });
    refused([](RandomModelOptions& o) { o.shape.q_heads = 0; });
    refused([](RandomModelOptions& o) { o.shape.kv_heads = 3; });
    refused([](RandomModelOptions& o) { o.shape.kv_heads = 8; });
    refused([](RandomModelOptions& o) { o.shape.head_dim = 7; });
    refused([](RandomModelOptions& o) { o.shape.vocabulary = 1 << 30; });
    refused([](RandomModelOptions& o) { o.eos_tokens = {100}; });
    refused([](RandomModelOptions& o) { o.bos_token = 100; });
    refused([](RandomModelOptions& o) { o.type = DataType::q8_0; });
    refused([](RandomModelOptions& o) { o.rope_scaling = RopeSpec(); });
}

TEST_CASE("a folder that cannot be created is an error", "[random_model]") {
    const TempDir dir;
    write_file(dir / "file", "x");
    const Status status = write_random_model(dir / "file/model", small_options());
    CHECK(status.code() == StatusCode::unavailable);
    CHECK(status.message().find("file/model") != std::string::npos);
}

// At the limit of file sizes write() fails as it does on a full disk.
TEST_CASE("a full disk is an error and leaves nothing", "[random_model]") {
    const TempDir dir;
    struct ::rlimit before = {};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    struct ::rlimit small = before;
    small.rlim_cur = 10'000;
    const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const Status status = write_random_model(dir / "m", small_options());
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    ::signal(SIGXFSZ, old_handler);
    INFO(status.to_string());
    CHECK(status.code() == StatusCode::resource_exhausted);
    CHECK(status.message().find("model.safetensors") != std::string::npos);
    CHECK(entries(dir / "m").empty());
}

TEST_CASE("files appear together or not at all", "[file_writer]") {
    const TempDir dir;
    {
        FileSet files(dir.path());
        REQUIRE(files.add_text("one", "1").ok());
        CHECK(files.add("two", [](FileWriter&) { return Status(StatusCode::internal, "stop"); })
                  .code() == StatusCode::internal);
    }
    CHECK(entries(dir.path()).empty());
    FileSet files(dir.path());
    REQUIRE(files.add_text("one", "1").ok());
    CHECK_FALSE(std::filesystem::exists(dir / "one"));
    REQUIRE(files.commit().ok());
    CHECK(read_file(dir / "one") == "1");
    CHECK(FileSet(dir / "none").add_text("x", "x").code() == StatusCode::unavailable);
}

TEST_CASE("a tiny model comes with a tokenizer", "[tiny_model]") {
    const TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    CHECK(std::filesystem::exists(dir / "tokenizer.json"));
    CHECK(Checkpoint::open(dir.path())->names().size() == 6 * 9 + 3);
    TinyModelOptions options;
    options.vocabulary = 257;
    CHECK(write_tiny_model(dir / "x", options).code() == StatusCode::invalid_argument);
}

namespace {

std::vector<float> values_of(const Checkpoint& checkpoint, const std::string& name) {
    const Bytes bytes = read_tensor(checkpoint, checkpoint.tensor(name).value()).value();
    std::vector<float> values(bytes.size() / 4);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

}  // namespace

TEST_CASE("outlier channels are larger, and norms make up for them", "[random_model]") {
    const TempDir dir;
    RandomModelOptions options = small_options();
    options.type = DataType::f32;
    REQUIRE(write_random_model(dir / "plain", options).ok());
    options.outliers = {50, 20};
    options.embedding_gain = 7;
    options.sublayer_gain = 0.5;
    options.logit_gain = 3;
    REQUIRE(write_random_model(dir / "outliers", options).ok());
    const Checkpoint plain = Checkpoint::open(dir / "plain").value();
    const Checkpoint made = Checkpoint::open(dir / "outliers").value();
    const double root = std::sqrt((30.0 + 50 * 50 + 20 * 20) / 32);
    const auto size = [](std::size_t channel) {
        return channel == 8 ? 50.0 : channel == 24 ? 20.0 : 1.0;
    };
    const auto check = [&](const std::string& name, auto&& expected) {
        const std::vector<float> before = values_of(plain, name);
        const std::vector<float> after = values_of(made, name);
        REQUIRE(before.size() == after.size());
        for (std::size_t i = 0; i < before.size(); ++i) {
            REQUIRE(double{after[i]} ==
                    Approx(expected(double{before[i]}, i % 32)).epsilon(1e-5).margin(1e-6));
        }
    };
    const auto embedding = [&](double value, std::size_t channel) {
        const double mean = size(channel) == 1 ? 0 : size(channel) / std::sqrt(32.0);
        return 7 * (value + mean);
    };
    const auto norm = [&](double value, std::size_t channel) {
        return value * root / size(channel);
    };
    const auto last = [&](double value, std::size_t channel) { return 3 * norm(value, channel); };
    const auto half = [](double value, std::size_t) { return 0.5 * value; };
    const auto same = [](double value, std::size_t) { return value; };
    check("model.embed_tokens.weight", embedding);
    check("model.layers.1.self_attn.o_proj.weight", half);
    check("model.layers.0.mlp.down_proj.weight", half);
    check("model.layers.1.input_layernorm.weight", norm);
    check("model.layers.0.post_attention_layernorm.weight", norm);
    check("model.norm.weight", last);
    check("model.layers.0.self_attn.q_proj.weight", same);
    check("lm_head.weight", same);
    options.outliers = {0};
    const Status refused = write_random_model(dir / "refused", options);
    CHECK(refused.code() == StatusCode::invalid_argument);
}
