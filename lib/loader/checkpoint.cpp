// One interface to the weights of a folder, sharded or not. The index is not trusted: shard names
// must be plain file names (a path could leave the folder), and a tensor must be in the shard that
// the index names. Shards are opened when needed, because a stage needs few of them, and under a
// mutex, because stages may load from several threads. An opened shard stays open as long as the
// checkpoint, so views stay valid.
#include "loader/checkpoint.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

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

    Result<const SafetensorsFile*> shard(std::size_t place);
    Status read_index(const std::string& path);
    const SafetensorsFile* holder(const TensorView& tensor);
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
    return {};
}

const SafetensorsFile* Checkpoint::State::holder(const TensorView& tensor) {
    const std::lock_guard lock(mutex);
    for (const auto& file : opened) {
        if (file && file->contains(tensor)) return file.get();
    }
    return nullptr;
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

Result<TensorView> Checkpoint::tensor(std::string_view name) const {
    const auto it = state_->index.find(name);
    if (it == state_->index.end()) {
        return make_error(StatusCode::not_found,
                          "read model {}: it has no tensor '{}' among its {} tensors",
                          state_->dir.string(), printable(name), state_->index.size());
    }
    Result<const SafetensorsFile*> file = state_->shard(it->second);
    if (!file) return file.error().with_context("read tensor '" + printable(name) + "'");
    return file.value()->find(name);
}

void Checkpoint::will_need(const TensorView& tensor) const {
    if (const SafetensorsFile* file = state_->holder(tensor)) file->will_need(tensor);
}

void Checkpoint::release(const TensorView& tensor) const {
    if (const SafetensorsFile* file = state_->holder(tensor)) file->release(tensor);
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
        const ByteSpan data = file->data();
        const std::size_t sample = std::min(data.size(), limits::kModelHashSampleBytes);
        const std::array<std::size_t, 3> starts = {0, (data.size() - sample) / 2,
                                                   data.size() - sample};
        for (const std::size_t start : starts) hash = hash_bytes(data.subspan(start, sample), hash);
        mix(data.size());
    }
    return hash;
}

}  // namespace molink
