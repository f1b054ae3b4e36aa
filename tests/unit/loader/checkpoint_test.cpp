// Folders of weights: one file, shards, and indexes that are wrong.
#include "loader/checkpoint.h"

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "safetensors_builder.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace molink;

namespace {

void write_shards(const TempDir& dir) {
    write_file(dir / "one.safetensors",
               safetensors_file("{" + tensor_entry("a", "F32", "[2]", "[0,8]") + "}", "aaaabbbb"));
    write_file(dir / "two.safetensors",
               safetensors_file("{" + tensor_entry("b", "F16", "[1,3]", "[0,6]") + "}", "cccddd"));
    write_file(dir / "model.safetensors.index.json",
               R"({"metadata": {"total_size": 14},
                   "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
}

std::string text_of(const Checkpoint& checkpoint, const std::string& name) {
    const Bytes bytes = read_tensor(checkpoint, checkpoint.tensor(name).value()).value();
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void check_error(const Status& status, StatusCode code, const std::string& text) {
    INFO(status.to_string());
    CHECK(status.code() == code);
    CHECK(status.message().find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("a checkpoint of one file gives its tensors", "[checkpoint]") {
    const TempDir dir;
    write_file(dir / "model.safetensors",
               safetensors_file("{" + tensor_entry("b", "F32", "[1]", "[0,4]") + "," +
                                    tensor_entry("a", "F32", "[1]", "[4,8]") + "}",
                                "bbbbaaaa"));
    const auto checkpoint = Checkpoint::open(dir.path());
    REQUIRE(checkpoint.has_value());
    CHECK(checkpoint->names() == std::vector<std::string>{"a", "b"});
    CHECK(checkpoint->files() == std::vector<std::string>{(dir / "model.safetensors").string()});
    CHECK(checkpoint->has("a"));
    CHECK_FALSE(checkpoint->has("c"));
    CHECK(text_of(*checkpoint, "a") == "aaaa");
    check_error(checkpoint->tensor("c").status(), StatusCode::not_found, "no tensor 'c'");
}

TEST_CASE("shards are opened when they are needed", "[checkpoint]") {
    const TempDir dir;
    write_shards(dir);
    std::filesystem::remove(dir / "two.safetensors");
    const auto checkpoint = Checkpoint::open(dir.path());
    REQUIRE(checkpoint.has_value());
    CHECK(checkpoint->tensor("a").has_value());
    CHECK(checkpoint->has("b"));
    check_error(checkpoint->tensor("b").status(), StatusCode::not_found, "two.safetensors");
    check_error(checkpoint->tensor("b").status(), StatusCode::not_found, "tensor 'b'");
    check_error(checkpoint->content_hash().status(), StatusCode::not_found, "two.safetensors");
    write_shards(dir);
    CHECK(checkpoint->tensor("b")->bytes == 6);
    CHECK(text_of(*checkpoint, "b") == "cccddd");
}

TEST_CASE("shapes are compared with the expected ones", "[checkpoint]") {
    const TempDir dir;
    write_shards(dir);
    const auto checkpoint = Checkpoint::open(dir.path());
    REQUIRE(checkpoint.has_value());
    CHECK(checkpoint->tensor("b", std::array<std::int64_t, 2>{1, 3}).has_value());
    check_error(checkpoint->tensor("b", std::array<std::int64_t, 2>{3, 1}).status(),
                StatusCode::data_loss, "has shape [1, 3]; the configuration asks for [3, 1]");
    check_error(checkpoint->tensor("b", std::array<std::int64_t, 1>{3}).status(),
                StatusCode::data_loss, "[3]");
}

TEST_CASE("a checkpoint can be moved", "[checkpoint]") {
    const TempDir dir;
    write_shards(dir);
    auto first = Checkpoint::open(dir.path());
    REQUIRE(first.has_value());
    const StoredTensor a = first->tensor("a").value();
    const Checkpoint second = std::move(first).value();
    CHECK(second.tensor("b").has_value());
    CHECK(read_tensor(second, a)->size() == 8);
    CHECK(text_of(second, "a") == "aaaabbbb");
}

TEST_CASE("several threads may ask for tensors at once", "[checkpoint]") {
    const TempDir dir;
    write_shards(dir);
    const auto checkpoint = Checkpoint::open(dir.path());
    REQUIRE(checkpoint.has_value());
    std::array<bool, 8> found = {};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < found.size(); ++i) {
        threads.emplace_back(
            [&, i] { found[i] = checkpoint->tensor(i % 2 ? "a" : "b").has_value(); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const bool one : found) CHECK(one);
}

TEST_CASE("a folder without weights says what was looked for", "[checkpoint]") {
    const TempDir dir;
    check_error(Checkpoint::open(dir.path()).status(), StatusCode::not_found,
                "model.safetensors.index.json");
    check_error(Checkpoint::open(dir / "nowhere").status(), StatusCode::not_found, "nowhere");
    write_file(dir / "model.safetensors", "");
    check_error(Checkpoint::open(dir.path()).status(), StatusCode::data_loss, "0 bytes");
    std::filesystem::remove(dir / "model.safetensors");
    std::filesystem::create_directory(dir / "model.safetensors");
    check_error(Checkpoint::open(dir.path()).status(), StatusCode::invalid_argument,
                "regular file");
}

TEST_CASE("an index may only name files of its folder", "[checkpoint]") {
    const TempDir dir;
    for (const char* name :
         {"\"../one.safetensors\"", "\"/etc/passwd\"", "\"sub/one.safetensors\"", "\"..\"", "\".\"",
          "\"\"", "\"a\\\\b\"", "\"a\\u0000b\"", "5", "null", "{}", "[\"one\"]"}) {
        INFO(name);
        write_file(dir / "model.safetensors.index.json",
                   "{\"weight_map\": {\"a\": " + std::string(name) + "}}");
        check_error(Checkpoint::open(dir.path()).status(), StatusCode::data_loss, "tensor 'a'");
    }
    write_file(dir / "model.safetensors.index.json",
               "{\"weight_map\": {\"a\": \"" + std::string(300, 'x') + "\"}}");
    check_error(Checkpoint::open(dir.path()).status(), StatusCode::data_loss, "tensor 'a'");
}

TEST_CASE("a malformed index is refused", "[checkpoint]") {
    const TempDir dir;
    for (const char* text :
         {"", "{", "[]", "{}", "5", "{\"weight_map\": 5}", "{\"weight_map\": []}",
          "{\"weight_map\": {}}", "{\"weight_map\": {\"a\": \"x\", \"a\": \"y\"}}"}) {
        INFO(text);
        write_file(dir / "model.safetensors.index.json", text);
        check_error(Checkpoint::open(dir.path()).status(), StatusCode::data_loss, "index.json");
    }
}

TEST_CASE("a tensor must be in the shard that the index names", "[checkpoint]") {
    const TempDir dir;
    write_shards(dir);
    write_file(dir / "model.safetensors.index.json", R"({"weight_map": {"a": "two.safetensors"}})");
    const auto checkpoint = Checkpoint::open(dir.path());
    REQUIRE(checkpoint.has_value());
    check_error(checkpoint->tensor("a").status(), StatusCode::not_found,
                "two.safetensors: it has no tensor 'a'");
}

TEST_CASE("a damaged shard is refused when it is needed", "[checkpoint]") {
    const TempDir dir;
    write_shards(dir);
    write_file(dir / "two.safetensors", "short");
    const auto checkpoint = Checkpoint::open(dir.path());
    REQUIRE(checkpoint.has_value());
    CHECK(checkpoint->tensor("a").has_value());
    check_error(checkpoint->tensor("b").status(), StatusCode::data_loss, "two.safetensors");
}

TEST_CASE("indexes changed at random never crash the reader", "[checkpoint]") {
    const TempDir dir;
    write_shards(dir);
    const std::string whole = read_file(dir / "model.safetensors.index.json");
    for (std::uint64_t seed = 1; seed <= 1'000; ++seed) {
        Random random(seed);
        std::string changed = whole;
        const std::uint64_t flips = 1 + random.below(3);
        for (std::uint64_t i = 0; i < flips; ++i) {
            changed[random.below(changed.size())] = static_cast<char>(random.next());
        }
        write_file(dir / "model.safetensors.index.json", changed);
        const auto checkpoint = Checkpoint::open(dir.path());
        INFO("repeat with seed " << seed);
        if (!checkpoint) {
            CHECK(checkpoint.error().code() == StatusCode::data_loss);
            continue;
        }
        for (const std::string& name : checkpoint->names()) {
            const auto tensor = checkpoint->tensor(name);
            if (!tensor) CHECK_FALSE(tensor.error().message().empty());
        }
    }
}
