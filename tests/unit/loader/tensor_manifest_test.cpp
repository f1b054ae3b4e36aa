// The manifest of a model: where it is, what is kept, and files that are none.
#include "loader/tensor_manifest.h"

#include <cstdlib>
#include <string>

#include "support/catch.h"
#include "support/temp_dir.h"

using namespace molink;

namespace {

/// Sets a variable of the environment for the life of the object.
class Variable {
public:
    Variable(std::string name, const char* value) : name_(std::move(name)) {
        const char* before = std::getenv(name_.c_str());
        if (before != nullptr) before_ = before;
        set(value);
    }
    ~Variable() { set(before_ ? before_->c_str() : nullptr); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    void set(const char* value) {
        if (value == nullptr) {
            ::unsetenv(name_.c_str());
        } else {
            ::setenv(name_.c_str(), value, 1);
        }
    }
    std::string name_;
    std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("the folder of manifests follows from the environment", "[manifest]") {
    const Variable home("HOME", "/home/me");
    const Variable shared("XDG_CACHE_HOME", nullptr);
    const Variable own("MOLINK_CACHE_DIR", nullptr);
    CHECK(*TensorManifest::folder() == "/home/me/.cache/molink");
    const Variable xdg("XDG_CACHE_HOME", "/cache");
    CHECK(*TensorManifest::folder() == "/cache/molink");
    const Variable chosen("MOLINK_CACHE_DIR", "/mine");
    CHECK(*TensorManifest::folder() == "/mine");
    const Variable none("MOLINK_CACHE_DIR", "");
    CHECK_FALSE(TensorManifest::folder().has_value());
}

TEST_CASE("hashes are kept by model", "[manifest]") {
    const TempDir dir;
    const TensorManifest manifest(dir / "deep/cache", 0xabc);
    CHECK(manifest.read()->empty());
    const TensorManifest::Hashes hashes = {{"a", {1, 2}},
                                           {"b rows 0-63", {~std::uint64_t{0}, 0}},
                                           {"quote\" and \n", {0x1234567890abcdef, 7}}};
    REQUIRE(manifest.write(hashes).ok());
    CHECK(manifest.read().value() == hashes);
    CHECK(manifest.file().filename() == "tensors-0000000000000abc.json");
    CHECK(TensorManifest(dir / "deep/cache", 0xabd).read()->empty());
    REQUIRE(manifest.write({}).ok());
    CHECK(manifest.read()->empty());
}

TEST_CASE("a file that is no manifest of the model is refused", "[manifest]") {
    const TempDir dir;
    const TensorManifest manifest(dir.path(), 0xabc);
    const std::string model = R"({"model": "0000000000000abc", "tensors": )";
    for (const std::string& text :
         {std::string(), std::string("{}"), std::string("[]"), std::string("{"),
          std::string(R"({"model": "0000000000000abd", "tensors": {}})"), model + "[]}",
          model + R"({"a": 5}})", model + R"({"a": "12"}})",
          model + R"({"a": "0000000000000002000000000000000x"}})",
          model + R"({"a": "00000000000000020000000000000001", "a": ""}})"}) {
        INFO(text);
        write_file(manifest.file(), text);
        CHECK(manifest.read().status().code() == StatusCode::data_loss);
    }
    const TensorManifest nowhere("/dev/null/cache", 1);
    CHECK(nowhere.write({}).code() == StatusCode::unavailable);
}
