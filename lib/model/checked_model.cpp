// Compares a configuration with the weights that lie beside it. The sublayers themselves ask for
// their tensors, from a loader that loads nothing, so that shapes are stated in one place. Stored
// tensors that nobody asks for mean that the model is another one than the configuration says:
// biases, further norms, further layers.
#include "model/checked_model.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "base/error.h"
#include "loader/json_parse.h"
#include "model/layer.h"
#include "model/weight_loader.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

/// Buffers that old checkpoints store beside their weights. They follow from the configuration.
constexpr std::string_view kStoredBuffers[] = {".inv_freq", ".rotary_emb.cos_cached",
                                               ".rotary_emb.sin_cached"};

bool is_buffer(std::string_view name) {
    return std::any_of(std::begin(kStoredBuffers), std::end(kStoredBuffers),
                       [name](std::string_view suffix) { return name.ends_with(suffix); });
}

/// Returns whether two tensors have the same type, shape and bytes.
Result<bool> equal_tensors(const WeightSource& source, const StoredTensor& a,
                           const StoredTensor& b) {
    constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
    if (a.type != b.type || a.shape != b.shape) return false;
    MOLINK_ASSIGN_OR_RETURN(const auto first, source.reader(a));
    MOLINK_ASSIGN_OR_RETURN(const auto second, source.reader(b));
    const std::size_t row_bytes = std::max<std::size_t>(a.row_bytes(), 1);
    const auto step = static_cast<std::int64_t>(std::max<std::size_t>(kPieceBytes / row_bytes, 1));
    Bytes left;
    Bytes right;
    for (std::int64_t at = 0; at < a.rows(); at += step) {
        const std::int64_t count = std::min(step, a.rows() - at);
        left.resize(static_cast<std::size_t>(count) * row_bytes);
        right.resize(left.size());
        MOLINK_RETURN_IF_ERROR(first->read(at, count, left.data()));
        MOLINK_RETURN_IF_ERROR(second->read(at, count, right.data()));
        if (left != right) return false;
    }
    return true;
}

/// Decides what tie_word_embeddings means when an LM head is stored or missing. Returns the name of
/// a stored LM head that is equal to the embedding, or an empty name.
Result<std::string> settle_lm_head(const ConfigFile& config, const WeightSource& source,
                                   Described& described) {
    ModelSpec untied = described.spec;
    untied.tied_embeddings = false;
    const OuterTensors outer = described.architecture->outer_tensors(untied);
    const bool stored = source.has(outer.lm_head.name);
    if (!described.spec.tied_embeddings) {
        if (stored) return std::string();
        return make_error(StatusCode::not_found,
                          "{}: tie_word_embeddings is {}, but the weights in {} have no tensor "
                          "'{}'",
                          config.where(), config.has("tie_word_embeddings") ? "false" : "missing",
                          source.where(), outer.lm_head.name);
    }
    if (!stored) return std::string();
    MOLINK_ASSIGN_OR_RETURN(const StoredTensor head, source.find(outer.lm_head));
    MOLINK_ASSIGN_OR_RETURN(const StoredTensor embedding, source.find(outer.embedding));
    MOLINK_ASSIGN_OR_RETURN(const bool equal, equal_tensors(source, head, embedding));
    if (equal) return outer.lm_head.name;
    described.spec.tied_embeddings = false;
    described.warnings.push_back(
        fmt::format("{}: tie_word_embeddings is true, but the weights have a tensor '{}' that "
                    "differs from '{}'; it is used",
                    config.where(), outer.lm_head.name, outer.embedding.name));
    return std::string();
}

/// Returns the tensors that the whole model loads, each of which is there with its shape.
Result<std::vector<StoredTensor>> check_tensors(const WeightSource& source,
                                                const Described& described) {
    const ModelSpec& spec = described.spec;
    WeightLoader loader(source);
    for (std::int32_t i = 0; i < spec.layers; ++i) {
        const LayerTensors tensors = described.architecture->layer_tensors(spec, i);
        const Layer layer = make_layer(spec, i);
        MOLINK_RETURN_IF_ERROR(layer.mixer->load(loader, tensors));
        MOLINK_RETURN_IF_ERROR(layer.feed_forward->load(loader, tensors));
    }
    const OuterTensors outer = described.architecture->outer_tensors(spec);
    std::unique_ptr<DeviceBuffer> nothing;
    std::unique_ptr<PackedMatrix> no_matrix;
    ElementType type = ElementType::f32;
    const std::int64_t vocabulary = spec.vocabulary;
    MOLINK_RETURN_IF_ERROR(loader.table({outer.embedding, vocabulary}, spec.hidden, nothing, type));
    MOLINK_RETURN_IF_ERROR(loader.vectors({{outer.final_norm, spec.hidden}}, nothing));
    if (outer.lm_head != outer.embedding) {
        MOLINK_RETURN_IF_ERROR(
            loader.matrix({{outer.lm_head, vocabulary}}, spec.hidden, no_matrix));
    }
    return loader.checked();
}

/// Refuses stored tensors, or rows of them, that no layer loads.
Status check_left_over(const ConfigFile& config, const WeightSource& source,
                       const std::vector<StoredTensor>& used, const std::string& equal_head) {
    std::map<std::string, std::int64_t> rows;
    for (const StoredTensor& tensor : used) rows[tensor.name] += tensor.rows();
    std::vector<std::string> left;
    for (const std::string& name : source.names()) {
        const auto found = rows.find(name);
        if (found == rows.end()) {
            if (!is_buffer(name) && name != equal_head) left.push_back(name);
            continue;
        }
        MOLINK_ASSIGN_OR_RETURN(const StoredTensor whole, source.tensor(name));
        if (found->second == whole.rows()) continue;
        return make_error(
            StatusCode::data_loss, "{}: the model loads {} rows of tensor '{}', but {} has {}",
            config.where(), found->second, printable(name), source.where(), whole.rows());
    }
    if (left.empty()) return {};
    return make_error(
        StatusCode::data_loss,
        "{}: the weights in {} have {} tensors that this configuration does not use, such as '{}'. "
        "The weights are of another model (more layers, biases or norms), or a key is wrong",
        config.where(), source.where(), left.size(), printable(left.front()));
}

/// Takes the type of weights from the matrices themselves: that of all, or f32 if they differ,
/// because memory is planned with it.
void settle_type(const ConfigFile& config, const std::vector<StoredTensor>& used,
                 Described& described) {
    std::set<DataType> types;
    for (const StoredTensor& tensor : used) {
        if (tensor.shape.size() == 2) types.insert(tensor.type);
    }
    const DataType stated = described.spec.stored_type;
    described.spec.stored_type = types.size() == 1 ? *types.begin() : DataType::f32;
    const bool states = config.has("dtype") || config.has("torch_dtype");
    if (!states || (types.size() == 1 && *types.begin() == stated)) return;
    std::string stored;
    for (const DataType type : types) {
        stored += (stored.empty() ? "" : " and ") + std::string(data_type_name(type));
    }
    described.warnings.push_back(
        fmt::format("{}: the type of weights is {}, but the matrices are stored as {}; the latter "
                    "is used",
                    config.where(), data_type_name(stated), stored));
}

}  // namespace

Result<Described> describe_checked(const ConfigFile& config, const WeightSource& source) {
    MOLINK_ASSIGN_OR_RETURN(Described described, describe_model(config));
    MOLINK_ASSIGN_OR_RETURN(const auto conflicts, source.conflicts());
    described.warnings.insert(described.warnings.end(), conflicts.begin(), conflicts.end());
    MOLINK_ASSIGN_OR_RETURN(const std::string head, settle_lm_head(config, source, described));
    MOLINK_ASSIGN_OR_RETURN(const auto used, check_tensors(source, described));
    MOLINK_RETURN_IF_ERROR(check_left_over(config, source, used, head));
    settle_type(config, used, described);
    return described;
}

Result<std::shared_ptr<const OpenedModel>> open_model(const std::filesystem::path& dir) {
    MOLINK_ASSIGN_OR_RETURN(const ModelFolder folder, ModelFolder::open(dir));
    auto model = std::make_shared<OpenedModel>();
    MOLINK_ASSIGN_OR_RETURN(model->weights, folder.open_weights());
    MOLINK_ASSIGN_OR_RETURN(model->described, describe_checked(folder.config(), *model->weights));
    return std::shared_ptr<const OpenedModel>(std::move(model));
}

}  // namespace molink
