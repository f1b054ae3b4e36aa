// One interface to the weights of a folder, sharded or not. The index is not trusted: shard names
// must be plain file names (a path could leave the folder), and a tensor must be in the shard that
// the index names. Headers of shards are read when needed, because a stage needs few of them, and
// under a mutex, because stages may load from several threads.
#include "loader/checkpoint.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/limits.h"
#include "loader/json_parse.h"
#include "loader/model_files.h"

namespace molink {
namespace {

bool is_plain_file_name(const std::string& name) {
    if (name.empty() || name.size() > 255 || name == "." || name == "..") return false;
    return std::none_of(name.begin(), name.end(), [](char c) {
        return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
    });
}

}  // namespace

struct Checkpoint::State {
    std::filesystem::path dir;
    std::vector<std::string> files;                         // sorted file names
    std::map<std::string, std::size_t, std::less<>> index;  // tensor name to index in files
    std::mutex mutex;                                       // guards `opened`
    std::vector<std::unique_ptr<SafetensorsFile>> opened;   // [files], null until needed

    std::optional<std::uint64_t> declared_bytes;  // metadata.total_size of the index
    bool ignores_index = false;                   // model.safetensors is read instead

    Result<const SafetensorsFile*> shard(std::size_t place);
    Status read_index(const std::string& path);
    Result<const SafetensorsFile*> shard_of(std::string_view name);
    Result<std::map<std::string, std::size_t>> stored_places(std::uint64_t& bytes);
};

Result<const SafetensorsFile*> Checkpoint::State::shard(std::size_t place) {
    const std::lock_guard lock(mutex);
    if (!opened[place]) {
        MOLINK_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::open(dir / files[place]));
        opened[place] = std::make_unique<SafetensorsFile>(std::move(file));
    }
    return static_cast<const SafetensorsFile*>(opened[place].get());
}

Status Checkpoint::State::read_index(const std::string& path) {
    MOLINK_ASSIGN_OR_RETURN(const nlohmann::json root,
                            parse_json_file(path, limits::kMaxConfigFileBytes));
    const auto map = root.is_object() ? root.find("weight_map") : root.end();
    if (map == root.end() || !map->is_object() || map->empty()) {
        return make_error(StatusCode::data_loss,
                          "read {}: it has no object 'weight_map' with tensors", path);
    }
    for (const auto& item : map->items()) {
        const auto* name = item.value().get_ptr<const std::string*>();
        if (name == nullptr || !is_plain_file_name(*name)) {
            return make_error(
                StatusCode::data_loss,
                "read {}: tensor '{}' is said to be in {}, which is not the name of a file in "
                "this folder",
                path, printable(item.key()),
                printable(
                    item.value().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
        }
        files.push_back(*name);
    }
    std::sort(files.begin(), files.end());
    files.erase(std::unique(files.begin(), files.end()), files.end());
    for (const auto& item : map->items()) {
        const auto& name = item.value().get_ref<const std::string&>();
        const auto place = std::lower_bound(files.begin(), files.end(), name) - files.begin();
        index.emplace(item.key(), static_cast<std::size_t>(place));
    }
    opened.resize(files.size());
    const auto metadata = root.find("metadata");
    if (metadata == root.end() || !metadata->is_object()) return {};
    const auto size = metadata->find("total_size");
    if (size == metadata->end()) return {};
    const auto* number = size->get_ptr<const nlohmann::json::number_unsigned_t*>();
    const auto* real = size->get_ptr<const nlohmann::json::number_float_t*>();
    if (number != nullptr) declared_bytes = *number;
    if (real != nullptr && *real >= 0 && *real < 1e18) {
        declared_bytes = static_cast<std::uint64_t>(*real);
    }
    return {};
}

/// Finds the shard of each stored tensor. Errors: data_loss for a tensor that two shards have.
Result<std::map<std::string, std::size_t>> Checkpoint::State::stored_places(std::uint64_t& bytes) {
    std::map<std::string, std::size_t> places;
    for (std::size_t place = 0; place < files.size(); ++place) {
        MOLINK_ASSIGN_OR_RETURN(const SafetensorsFile* file, shard(place));
        bytes += file->data_bytes();
        for (const TensorInfo& info : file->tensors()) {
            const auto [known, added] = places.emplace(info.name, place);
            if (added) continue;
            return make_error(StatusCode::data_loss,
                              "read model {}: tensor '{}' is in {} and in {}", dir.string(),
                              printable(info.name), files[known->second], files[place]);
        }
    }
    return places;
}

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& dir) {
    auto state = std::make_unique<State>();
    state->dir = dir;
    std::error_code error;
    if (std::filesystem::exists(dir / model_files::kWeights, error)) {
        state->files.push_back(model_files::kWeights);
        state->opened.resize(1);
        MOLINK_ASSIGN_OR_RETURN(const SafetensorsFile* file, state->shard(0));
        for (const TensorInfo& info : file->tensors()) state->index.emplace(info.name, 0);
        state->ignores_index = std::filesystem::exists(dir / model_files::kWeightIndex, error);
    } else if (std::filesystem::exists(dir / model_files::kWeightIndex, error)) {
        MOLINK_RETURN_IF_ERROR(state->read_index((dir / model_files::kWeightIndex).string()));
    } else {
        return make_error(StatusCode::not_found, "open model {}: it has neither {} nor {}",
                          dir.string(), model_files::kWeights, model_files::kWeightIndex);
    }
    return Checkpoint(std::move(state));
}

std::string Checkpoint::where() const {
    return state_->dir.string();
}

bool Checkpoint::has(std::string_view name) const {
    return state_->index.count(name) != 0;
}

std::vector<std::string> Checkpoint::names() const {
    std::vector<std::string> names;
    names.reserve(state_->index.size());
    for (const auto& entry : state_->index) names.push_back(entry.first);
    return names;
}

std::vector<std::string> Checkpoint::files() const {
    std::vector<std::string> paths;
    for (const std::string& file : state_->files) paths.push_back((state_->dir / file).string());
    return paths;
}

Result<const SafetensorsFile*> Checkpoint::State::shard_of(std::string_view name) {
    const auto it = index.find(name);
    if (it == index.end()) {
        return make_error(StatusCode::not_found,
                          "read model {}: it has no tensor '{}' among its {} tensors", dir.string(),
                          printable(name), index.size());
    }
    Result<const SafetensorsFile*> file = shard(it->second);
    if (!file) return file.error().with_context("read tensor '" + printable(name) + "'");
    return file;
}

Result<StoredTensor> Checkpoint::tensor(std::string_view name) const {
    MOLINK_ASSIGN_OR_RETURN(const SafetensorsFile* file, state_->shard_of(name));
    return file->find(name);
}

Result<std::unique_ptr<TensorReader>> Checkpoint::reader(const StoredTensor& tensor) const {
    MOLINK_ASSIGN_OR_RETURN(const SafetensorsFile* file, state_->shard_of(tensor.name));
    return file->reader(tensor);
}

Result<std::vector<std::string>> Checkpoint::conflicts() const {
    std::vector<std::string> warnings;
    const auto warn = [&](std::string what) {
        warnings.push_back("read model " + state_->dir.string() + ": " + std::move(what));
    };
    std::uint64_t bytes = 0;
    MOLINK_ASSIGN_OR_RETURN(const auto places, state_->stored_places(bytes));
    std::size_t unlisted = 0;
    for (const auto& [name, place] : places) {
        const auto listed = state_->index.find(name);
        if (listed == state_->index.end()) {
            if (++unlisted == 1) {
                warn(fmt::format("{} has tensor '{}', which {} does not list; it is not read",
                                 state_->files[place], printable(name), model_files::kWeightIndex));
            }
        } else if (listed->second != place) {
            return make_error(StatusCode::data_loss,
                              "read model {}: tensor '{}' is in {}, but {} says that it is in {}",
                              state_->dir.string(), printable(name), state_->files[place],
                              model_files::kWeightIndex, state_->files[listed->second]);
        }
    }
    for (const auto& [name, place] : state_->index) {
        if (places.count(name) != 0) continue;
        warn(fmt::format("{} says that {} has tensor '{}', but no file has it",
                         model_files::kWeightIndex, state_->files[place], printable(name)));
        break;
    }
    if (unlisted > 1) warn(fmt::format("{} such tensors are not listed", unlisted));
    if (state_->declared_bytes && *state_->declared_bytes != bytes) {
        warn(fmt::format("{} states a total_size of {} bytes, but the files hold {}",
                         model_files::kWeightIndex, *state_->declared_bytes, bytes));
    }
    if (state_->ignores_index) {
        warn(fmt::format("it has {} and {}; the former is read", model_files::kWeights,
                         model_files::kWeightIndex));
    }
    return warnings;
}

Result<std::uint64_t> Checkpoint::content_hash() const {
    std::uint64_t hash = 0;
    const auto mix = [&hash](std::uint64_t value) {
        hash = hash_bytes(std::as_bytes(std::span(&value, 1)), hash);
    };
    for (std::size_t place = 0; place < state_->files.size(); ++place) {
        MOLINK_ASSIGN_OR_RETURN(const SafetensorsFile* file, state_->shard(place));
        for (const TensorInfo& info : file->tensors()) {
            hash = hash_string(info.stored_type, hash_string(info.name, hash));
            mix(info.shape.size());
            for (const std::int64_t dim : info.shape) mix(static_cast<std::uint64_t>(dim));
            mix(info.begin);
            mix(info.end);
        }
        const std::uint64_t bytes = file->data_bytes();
        Bytes sample(static_cast<std::size_t>(
            std::min<std::uint64_t>(bytes, limits::kModelHashSampleBytes)));
        const std::array<std::uint64_t, 3> starts = {0, (bytes - sample.size()) / 2,
                                                     bytes - sample.size()};
        for (const std::uint64_t start : starts) {
            MOLINK_RETURN_IF_ERROR(file->read_data(start, sample));
            hash = hash_bytes(sample, hash);
        }
        mix(bytes);
    }
    return hash;
}

}  // namespace molink
