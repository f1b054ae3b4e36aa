// What a node knows of itself before it meets others. Reads the model's description and samples of
// its files, measures the machine with the model's own layers, and turns both into the numbers that
// handshake and partitioner work with.
#include "node/node_identity.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "base/host_id.h"
#include "base/limits.h"
#include "base/split.h"
#include "loader/config_file.h"
#include "loader/model_hash.h"
#include "model/model.h"
#include "stage/fold_model.h"

namespace molink {
namespace {

constexpr double kShareOfAvailable = 0.8;

Status check_layers(const NodeOptions& options, const ModelSpec& spec) {
    if (!options.layers || options.layers->end <= spec.layers) return {};
    return invalid_argument("layers {}-{} are asked for; the model has layers 0-{}",
                            options.layers->begin, options.layers->end - 1, spec.layers - 1);
}

Status check_q8(const ModelSpec& spec) {
    for (std::int32_t width :
         {spec.hidden, spec.attention.q_heads * spec.attention.head_dim, spec.mlp.ffn}) {
        if (width % 32 == 0) continue;
        return invalid_argument(
            "weights q8_0: a matrix of the model is {} wide; a multiple of 32 is "
            "needed",
            width);
    }
    return {};
}

bool is_timed_device(std::string_view name) {
    return name.substr(0, name.find(':')) == kTimedBackend;
}

/// Not of a real model: heads and workers that share config.json may work together, and none of
/// them with a head that computes.
std::uint64_t timed_hash(const ConfigFile& config) {
    return hash_string(config.canonical_text(), hash_string(kTimedBackend, 0));
}

NodeProfile timed_profile(const TimedProfile& timed) {
    NodeProfile profile;
    profile.decode_layer_us = timed.decode_layer_us + timed.decode_row_layer_us;
    profile.decode_row_layer_us = timed.decode_row_layer_us;
    profile.prefill_row_layer_us = timed.prefill_row_layer_us;
    profile.lm_head_row_us = timed.lm_head_us + timed.lm_head_row_us;
    return profile;
}

Status check_timed(const TimedProfile& timed) {
    for (double value : {timed.decode_layer_us, timed.decode_row_layer_us, timed.prefill_layer_us,
                         timed.prefill_row_layer_us, timed.lm_head_us, timed.lm_head_row_us}) {
        if (value >= 0 && value <= 1e9) continue;
        return invalid_argument("timed profile: a time is {} us; 0 to 1e9 are permitted", value);
    }
    if (timed.decode_layer_us + timed.decode_row_layer_us > 0) return {};
    return invalid_argument("backend timed: its profile gives no time to a decode row");
}

Status check_spec(const NodeOptions& options, const ModelSpec& spec) {
    MOLINK_RETURN_IF_ERROR(check_layers(options, spec));
    return options.weights == WeightFormat::q8_0 ? check_q8(spec) : Status();
}

Result<ModelSpec> spec_of_config(const NodeOptions& options) {
    MOLINK_ASSIGN_OR_RETURN(const ConfigFile config, ConfigFile::load(options.model_dir));
    MOLINK_ASSIGN_OR_RETURN(const Described described, describe_model(config));
    MOLINK_RETURN_IF_ERROR(check_spec(options, described.spec));
    return described.spec;
}

NodeIdentity identity_of(const NodeOptions& options, const ModelSpec& spec) {
    NodeIdentity identity;
    identity.spec = spec;
    identity.weights = options.weights;
    identity.weight_type =
        options.weights == WeightFormat::q8_0 ? DataType::q8_0 : spec.stored_type;
    identity.kv_type = options.kv_type;
    identity.block_tokens = options.block_tokens;
    identity.layers = options.layers;
    return identity;
}

/// Describes one device. Measures it with the model's own layers if `probe` is set.
Result<NodeDevice> make_device(const NodeOptions& options, const std::string& name,
                               const OpenedModel* model, bool probe) {
    NodeDevice device;
    device.name = name;
    // Without a stage of its own the node runs nothing on the device.
    const bool computes = probe && !is_timed(options);
    MOLINK_ASSIGN_OR_RETURN(const auto backend, open_node_device(options, name, !computes));
    const DeviceMemory memory = backend->memory();
    device.memory_domain = memory.domain;
    device.memory_own = options.memory_bytes > 0;
    device.memory_bytes = device.memory_own
                              ? static_cast<std::uint64_t>(options.memory_bytes)
                              : static_cast<std::uint64_t>(kShareOfAvailable *
                                                           static_cast<double>(memory.free_bytes));
    if (!probe) return device;
    if (is_timed(options)) {
        device.profile = timed_profile(options.timed);
        MOLINK_RETURN_IF_ERROR(check_profile(device));
        return device;
    }
    const Clock& clock = options.clock != nullptr ? *options.clock : steady_clock();
    MOLINK_ASSIGN_OR_RETURN(device.profile, probe_node(*backend, *model->weights, model->described,
                                                       options.weights, clock));
    device.profile.threads = options.threads;
    device.profile.compute_share = backend->traits().compute_share;
    MOLINK_RETURN_IF_ERROR(check_profile(device).with_context("this node was measured"));
    return device;
}

}  // namespace

ModelSpec stored_spec(const NodeIdentity& identity) {
    ModelSpec spec = identity.spec;
    if (identity.stored_vocabulary > 0) spec.vocabulary = identity.stored_vocabulary;
    return spec;
}

bool is_timed(const NodeOptions& options) {
    return is_timed_device(split(options.backend, ',').front());
}

bool is_timed(std::span<const NodeDevice> devices) {
    return !devices.empty() && is_timed_device(devices.front().name);
}

Result<std::vector<std::string>> device_names(const NodeOptions& options) {
    std::vector<std::string> names;
    if (is_timed(options)) {
        for (std::string_view name : split(options.backend, ',')) {
            if (!is_timed_device(name)) {
                return invalid_argument("backend '{}': timed devices and others are mixed",
                                        options.backend);
            }
            names.emplace_back(name);
        }
    } else {
        MOLINK_ASSIGN_OR_RETURN(names, parse_device_list(options.backend));
    }
    for (auto name = names.begin(); name != names.end(); ++name) {
        if (std::find(names.begin(), name, *name) == name) continue;
        return invalid_argument("backend '{}' names device {} twice", options.backend, *name);
    }
    if (names.size() > limits::kMaxNodeDevices) {
        return invalid_argument("backend '{}' names {} devices; at most {} are permitted",
                                options.backend, names.size(), limits::kMaxNodeDevices);
    }
    if (names.size() > 1 && options.layers) {
        return invalid_argument(
            "layers {}-{} are asked for, and {} devices; layers can be fixed "
            "for one device only",
            options.layers->begin, options.layers->end - 1, names.size());
    }
    return names;
}

Result<std::unique_ptr<Backend>> open_node_device(const NodeOptions& options,
                                                  const std::string& name, bool layout) {
    return open_device(is_timed_device(name) ? "cpu" : name, layout ? 1 : options.threads);
}

std::string node_name(const std::string& process, std::span<const NodeDevice> devices,
                      std::size_t index) {
    return devices.size() == 1 ? process : fmt::format("{}/{}", process, devices[index].name);
}

Result<NodeIdentity> describe_identity(const NodeOptions& options) {
    MOLINK_ASSIGN_OR_RETURN(const ModelSpec spec, spec_of_config(options));
    return identity_of(options, spec);
}

namespace {

/// The identity of a node whose stages only take time. Its folder needs no weights.
Result<NodeIdentity> timed_identity(const NodeOptions& options) {
    MOLINK_RETURN_IF_ERROR(check_timed(options.timed));
    MOLINK_ASSIGN_OR_RETURN(NodeIdentity identity, describe_identity(options));
    MOLINK_ASSIGN_OR_RETURN(const ConfigFile config, ConfigFile::load(options.model_dir));
    identity.model_hash = timed_hash(config);
    identity.stored_vocabulary = identity.spec.vocabulary;
    identity.spec.vocabulary = kFoldVocabulary;
    identity.spec.bos_token = -1;
    identity.spec.eos_tokens = {kFoldEos};
    return identity;
}

Result<NodeIdentity> computing_identity(const NodeOptions& options) {
    MOLINK_ASSIGN_OR_RETURN(auto model, open_model(options.model_dir));
    MOLINK_RETURN_IF_ERROR(check_spec(options, model->described.spec));
    NodeIdentity identity = identity_of(options, model->described.spec);
    MOLINK_ASSIGN_OR_RETURN(const ConfigFile config, ConfigFile::load(options.model_dir));
    MOLINK_ASSIGN_OR_RETURN(identity.model_hash, model_hash(config, *model->weights));
    identity.model = std::move(model);
    return identity;
}

}  // namespace

Result<NodeIdentity> make_identity(const NodeOptions& options, const std::string& default_name,
                                   bool probe) {
    MOLINK_ASSIGN_OR_RETURN(NodeIdentity identity, is_timed(options) ? timed_identity(options)
                                                                     : computing_identity(options));
    MOLINK_ASSIGN_OR_RETURN(const auto names, device_names(options));
    identity.name = options.name.empty() ? default_name : options.name;
    identity.host_id = host_id();
    for (const std::string& device : names) {
        MOLINK_ASSIGN_OR_RETURN(NodeDevice made,
                                make_device(options, device, identity.model.get(), probe));
        identity.devices.push_back(std::move(made));
    }
    return identity;
}

std::int32_t context_of(const EngineOptions& options, const ModelSpec& spec) {
    return options.max_context > 0 ? std::min(spec.context, options.max_context) : spec.context;
}

Result<PartitionInput> make_partition_input(const EngineOptions& options,
                                            const NodeIdentity& identity) {
    MOLINK_ASSIGN_OR_RETURN(const auto names, device_names(options));
    MOLINK_ASSIGN_OR_RETURN(const auto backend, open_node_device(options, names.front(), true));
    const ModelSpec spec = stored_spec(identity);
    const std::int32_t context = context_of(options, spec);
    const auto bytes = [&](const ModelPart& part) {
        return static_cast<std::int64_t>(part_weight_bytes(*backend, spec, part, options.weights));
    };
    if (options.lm_head == LmHead::first && !spec.tied_embeddings) {
        return invalid_argument(
            "lm_head is first, but the model in {} has no tied embeddings: its LM head belongs on "
            "the last stage",
            options.model_dir);
    }
    PartitionInput input;
    PartitionModel& model = input.model;
    model.tied_embeddings = spec.tied_embeddings;
    const CacheFormat cache{element_type(options.kv_type), options.block_tokens};
    for (std::int32_t i = 0; i < spec.layers; ++i) {
        PartitionLayer layer;
        layer.weight_bytes = bytes({{i, i + 1}, false, false});
        layer.kv_block_bytes =
            static_cast<std::int64_t>(layer_cache_block_bytes(*backend, spec, i, cache));
        // Nodes measure the first layers; the time of others is taken to grow with their weights.
        layer.decode_cost = layer.prefill_cost =
            static_cast<double>(layer.weight_bytes) /
            static_cast<double>(i == 0 ? layer.weight_bytes : model.layers[0].weight_bytes);
        model.layers.push_back(layer);
    }
    model.embedding_bytes = bytes({{0, 0}, true, false});
    model.lm_head_bytes = bytes({{0, 0}, false, true});
    model.workspace_bytes = static_cast<std::int64_t>(part_workspace_bytes(
        *backend, spec,
        {options.max_step_tokens, context, options.max_running, options.block_tokens}));
    model.block_tokens = options.block_tokens;
    set_kv_bounds(model, context, options.max_running);
    model.activation_row_bytes = activation_row_bytes(options.wire_type, spec.hidden);
    input.objective = options.objective;
    input.lm_head = options.lm_head;
    input.workload = options.workload();
    return input;
}

Status check_vocabulary(const Tokenizer& tokenizer, const ModelSpec& spec,
                        const std::string& file) {
    if (tokenizer.vocabulary_size() <= spec.vocabulary) return {};
    return invalid_argument("{}: the tokenizer has {} tokens; the model's vocabulary has {}", file,
                            tokenizer.vocabulary_size(), spec.vocabulary);
}

}  // namespace molink
