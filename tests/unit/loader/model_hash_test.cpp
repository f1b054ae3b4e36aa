// The hash of a model: it does not depend on layout or path, and differs when the model differs.
#include "loader/model_hash.h"

#include <string>

#include "base/limits.h"
#include "loader/checkpoint.h"
#include "safetensors_builder.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;

namespace {

constexpr std::size_t kSample = limits::kModelHashSampleBytes;
constexpr std::size_t kDataBytes = 8 * kSample;

std::string weights(const std::string& name, const std::string& dtype, const std::string& shape,
                    std::size_t changed_at = kDataBytes) {
    std::string data(kDataBytes, 'w');
    if (changed_at < kDataBytes) data[changed_at] = 'X';
    return safetensors_file(
        "{" + tensor_entry(name, dtype, shape, "[0," + std::to_string(kDataBytes) + "]") + "}",
        data);
}

std::uint64_t hash_of(const std::string& config, const std::string& model) {
    const TempDir dir;
    write_file(dir / "config.json", config);
    write_file(dir / "model.safetensors", model);
    const auto hash = model_hash(dir.path());
    INFO(hash.status().to_string());
    REQUIRE(hash.has_value());
    return hash.value();
}

const std::string kShape = "[" + std::to_string(kDataBytes / 4) + "]";

}  // namespace

TEST_CASE("the hash depends on content alone", "[model_hash]") {
    const std::string model = weights("a", "F32", kShape);
    const std::uint64_t base = hash_of(R"({"x": 1, "y": 2.5})", model);
    CHECK(base == hash_of(R"({"x": 1, "y": 2.5})", model));
    CHECK(base == hash_of("{ \"y\":2.50,\n\"x\":1 }", model));
    CHECK(base != hash_of(R"({"x": 1, "y": 2.25})", model));
    CHECK(base != hash_of(R"({"x": 1})", model));
    CHECK(base != hash_of(R"({"x": 1, "z": 2.5})", model));
    const std::string config = R"({"x": 1, "y": 2.5})";
    CHECK(base != hash_of(config, weights("b", "F32", kShape)));
    CHECK(base != hash_of(config, weights("a", "I32", kShape)));
    CHECK(base !=
          hash_of(config, weights("a", "F32", "[2," + std::to_string(kDataBytes / 8) + "]")));
}

TEST_CASE("a changed byte in a sample changes the hash", "[model_hash]") {
    const std::uint64_t base = hash_of("{}", weights("a", "F32", kShape));
    for (const std::size_t at :
         {std::size_t{0}, kSample - 1, kDataBytes / 2 - kSample / 2, kDataBytes / 2,
          kDataBytes / 2 + kSample / 2 - 1, kDataBytes - kSample, kDataBytes - 1}) {
        INFO("byte " << at);
        CHECK(base != hash_of("{}", weights("a", "F32", kShape, at)));
    }
    CHECK(base == hash_of("{}", weights("a", "F32", kShape, 2 * kSample)));  // outside the samples
}

TEST_CASE("every byte of a small model counts", "[model_hash]") {
    const auto model = [](int changed) {
        std::string data = "abcdefgh";
        if (changed >= 0) data[static_cast<std::size_t>(changed)] = '!';
        return safetensors_file("{" + tensor_entry("a", "F32", "[2]", "[0,8]") + "}", data);
    };
    const std::uint64_t base = hash_of("{}", model(-1));
    for (int i = 0; i < 8; ++i) CHECK(base != hash_of("{}", model(i)));
}

TEST_CASE("the order of tensors in a file counts, white space in the header does not",
          "[model_hash]") {
    const std::string a = tensor_entry("a", "U8", "[1]", "[0,1]");
    const std::string b = tensor_entry("b", "U8", "[1]", "[1,2]");
    const std::uint64_t base = hash_of("{}", safetensors_file("{" + a + "," + b + "}", "xx"));
    CHECK(base == hash_of("{}", safetensors_file("{" + b + ", " + a + "}  ", "xx")));
    CHECK(base !=
          hash_of("{}", safetensors_file("{" + tensor_entry("b", "U8", "[1]", "[0,1]") + "," +
                                             tensor_entry("a", "U8", "[1]", "[1,2]") + "}",
                                         "xx")));
}

TEST_CASE("shards are hashed in the order of their names", "[model_hash]") {
    const TempDir first;
    const TempDir second;
    TinyModelOptions options;
    options.max_shard_bytes = 100'000;
    REQUIRE(write_tiny_model(first.path(), options).ok());
    REQUIRE(write_tiny_model(second.path(), options).ok());
    CHECK(model_hash(first.path()).value() == model_hash(second.path()).value());
    const std::vector<std::string> files = Checkpoint::open(second.path())->files();
    REQUIRE(files.size() > 3);
    std::string shard = read_file(files[2]);
    shard.back() = static_cast<char>(shard.back() ^ 1);
    write_file(files[2], shard);
    CHECK(model_hash(first.path()).value() != model_hash(second.path()).value());
}

TEST_CASE("an incomplete model has no hash", "[model_hash]") {
    const TempDir dir;
    CHECK(model_hash(dir.path()).status().code() == StatusCode::not_found);
    write_file(dir / "config.json", "{}");
    CHECK(model_hash(dir.path()).status().code() == StatusCode::not_found);
    write_file(dir / "model.safetensors", "x");
    CHECK(model_hash(dir.path()).status().code() == StatusCode::data_loss);
}
