// The manifest of a model is a JSON file in the user's cache folder, because model folders are
// often read-only or shared. Its name has the hash of the model, so that models do not disturb each
// other. It is written under another name and renamed. Relies on parse_json_file to refuse damaged
// files.
#include "loader/tensor_manifest.h"

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <span>
#include <system_error>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/limits.h"
#include "loader/file_writer.h"
#include "loader/json_parse.h"

namespace molink {
namespace {

constexpr std::size_t kHashDigits = 32;

std::optional<std::string> variable(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return std::string(value);
}

std::optional<TensorHash> parse_hash(const nlohmann::json& value) {
    const auto* text = value.get_ptr<const std::string*>();
    if (text == nullptr || text->size() != kHashDigits) return std::nullopt;
    TensorHash hash;
    const char* const middle = text->data() + kHashDigits / 2;
    const char* const end = text->data() + kHashDigits;
    const auto high = std::from_chars(text->data(), middle, hash.high, 16);
    const auto low = std::from_chars(middle, end, hash.low, 16);
    const bool good =
        high.ec == std::errc() && high.ptr == middle && low.ec == std::errc() && low.ptr == end;
    return good ? std::optional(hash) : std::nullopt;
}

}  // namespace

std::optional<std::filesystem::path> TensorManifest::folder() {
    if (const auto own = variable("MOLINK_CACHE_DIR")) {
        if (own->empty()) return std::nullopt;
        return std::filesystem::path(*own);
    }
    const auto shared = variable("XDG_CACHE_HOME");
    if (shared && !shared->empty()) return std::filesystem::path(*shared) / "molink";
    const auto home = variable("HOME");
    if (home && !home->empty()) return std::filesystem::path(*home) / ".cache" / "molink";
    return std::nullopt;
}

TensorManifest::TensorManifest(const std::filesystem::path& folder, std::uint64_t model_hash)
    : file_(folder / fmt::format("tensors-{:016x}.json", model_hash)),
      model_(fmt::format("{:016x}", model_hash)) {}

Result<TensorManifest::Hashes> TensorManifest::read() const {
    const auto root = parse_json_file(file_.string(), limits::kMaxConfigFileBytes);
    if (!root) {
        if (root.error().code() == StatusCode::not_found) return Hashes();
        return root.error();
    }
    const auto broken = [this](const std::string& what) {
        return make_error(StatusCode::data_loss, "read {}: {}", file_.string(), what);
    };
    if (!root->is_object() || root->value("model", nlohmann::json()) != model_) {
        return broken("it is not a manifest of the model with hash " + model_);
    }
    const auto tensors = root->find("tensors");
    if (tensors == root->end() || !tensors->is_object()) return broken("it has no tensors");
    Hashes hashes;
    for (const auto& item : tensors->items()) {
        const std::optional<TensorHash> hash = parse_hash(item.value());
        if (!hash) return broken("tensor '" + printable(item.key()) + "' has no hash");
        hashes.emplace(item.key(), *hash);
    }
    return hashes;
}

Status TensorManifest::write(const Hashes& hashes) const {
    std::error_code error;
    std::filesystem::create_directories(file_.parent_path(), error);
    if (error) {
        return make_error(StatusCode::unavailable, "create folder {}: {}",
                          file_.parent_path().string(), error.message());
    }
    nlohmann::ordered_json root;
    root["model"] = model_;
    root["tensors"] = nlohmann::ordered_json::object();
    for (const auto& [name, hash] : hashes) root["tensors"][name] = hash.text();
    const std::string text =
        root.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    // Two heads may write at the same time.
    const std::string partial = fmt::format("{}.{}.partial", file_.string(), ::getpid());
    FileWriter file(partial);
    MOLINK_RETURN_IF_ERROR(file.open());
    Status status = file.write(std::as_bytes(std::span(text)));
    if (status.ok()) status = file.close();
    if (status.ok()) {
        std::filesystem::rename(partial, file_, error);
        if (!error) return {};
        status = make_error(StatusCode::unavailable, "rename {} to {}: {}", partial, file_.string(),
                            error.message());
    }
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    return status;
}

}  // namespace molink
