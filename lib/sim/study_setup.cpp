// Turns a study (devices, the shape of a model, formats) into what a simulated cluster needs: sizes
// for the partitioner, service times and bytes of a row. Embedding and LM head stay in f16 when the
// layers have 4 bits, as in published quantised models.
#include "sim/study_setup.h"

#include <algorithm>

#include "base/error.h"
#include "base/limits.h"
#include "kv/capacity.h"

namespace molink::sim {
namespace {

constexpr double kHalfBytes = 2;
/// 4 bits, and a 16-bit scale for 32 weights, as in GGUF's Q4_0.
constexpr double kFourBitBytes = 4.5 / 8;
constexpr double kGib = 1024.0 * 1024 * 1024;
/// Share of a device's memory that serving may use when the study does not say.
constexpr double kMemoryShare = 0.9;
/// Frames take this time on the slowest link, within the limits of bytes.
constexpr double kFrameSeconds = 0.002;
constexpr std::int64_t kSmallestFrame = 16 << 10;
constexpr std::int64_t kLargestFrame = 256 << 10;

Result<double> weight_bytes(const std::string& weights) {
    if (weights == "f16") return kHalfBytes;
    if (weights == "q4") return kFourBitBytes;
    return invalid_argument("study: weights are '{}'; f16 and q4 are known", weights);
}

Result<std::int64_t> row_bytes(const std::string& wire, std::int32_t hidden) {
    if (wire == "f16x2") return 2 * activation_row_bytes(DataType::f16, hidden);
    for (DataType type : {DataType::f32, DataType::f16, DataType::bf16, DataType::int8}) {
        if (wire == data_type_name(type)) return activation_row_bytes(type, hidden);
    }
    return invalid_argument("study: wire is '{}'; f32, f16, bf16, int8 and f16x2 are known", wire);
}

std::int64_t frame_limit(const StudyCluster& cluster) {
    if (cluster.max_frame_bytes > 0) return cluster.max_frame_bytes;
    double least = kLargestFrame;
    const auto note = [&](const LinkModel& link) {
        if (link.bytes_per_s > 0) least = std::min(least, link.bytes_per_s * kFrameSeconds);
    };
    note(cluster.link);
    for (const SimLink& link : cluster.links) note(link.model);
    return std::max(static_cast<std::int64_t>(least), kSmallestFrame);
}

PartitionModel partition_model(const ModelSpec& spec, const StudyCluster& cluster,
                               double layer_weight, std::int32_t max_context) {
    PartitionModel model;
    const auto measured = static_cast<double>(layer_parameters(spec, 0));
    for (std::int32_t i = 0; i < spec.layers; ++i) {
        const auto parameters = static_cast<double>(layer_parameters(spec, i));
        PartitionLayer layer;
        layer.weight_bytes = static_cast<std::int64_t>(parameters * layer_weight);
        layer.kv_block_bytes = kv_bytes_per_position(spec, DataType::f16) * cluster.block_tokens;
        layer.decode_cost = layer.prefill_cost = parameters / measured;
        model.layers.push_back(layer);
    }
    model.embedding_bytes = embedding_parameters(spec) * 2;
    model.lm_head_bytes = model.embedding_bytes;
    model.tied_embeddings = spec.tied_embeddings;
    // Rows of a step in half precision: gate and up, residual, queries, keys and values.
    model.workspace_bytes = std::int64_t{cluster.max_step_tokens} *
                            (2 * std::int64_t{spec.mlp.ffn} + 6 * std::int64_t{spec.hidden}) * 2;
    model.min_blocks = blocks_for(max_context, cluster.block_tokens);
    return model;
}

StudyParts::Node make_node(const StudyNode& node, const StageCost& cost,
                           const PartitionModel& model) {
    const StageProfile profile(node.device, cost);
    StudyParts::Node made{{profile, model, {}, {}}, {}, 0, node.layers, node.host};
    constexpr std::int32_t kSlice = 256;
    made.profile.decode_layer_us = profile.layer_us(PartKind::decode, {{{0, 1}}, 1}, 0);
    made.profile.prefill_row_layer_us =
        profile.layer_us(PartKind::prefill, {{{0, kSlice}}, 0}, 0) / kSlice;
    made.profile.lm_head_row_us = profile.lm_head_us(1);
    const double gib =
        node.memory_gib > 0 ? node.memory_gib : node.device.memory_gib * kMemoryShare;
    made.memory_bytes = static_cast<std::int64_t>(gib * kGib);
    return made;
}

Status check_device(const StudyNode& node) {
    const DeviceProfile& device = node.device;
    const bool measured = !device.decode.empty() && !device.prefill.empty();
    const bool roofline = device.memory_gb_per_s > 0 && device.tflops > 0 &&
                          device.memory_efficiency > 0 && device.compute_efficiency > 0 &&
                          device.launch_us >= 0;
    if (!measured && !roofline) {
        return invalid_argument(
            "study: node '{}' has neither a roofline ({} GB/s, {} TFLOPS, efficiencies {} and {}) "
            "nor measured times for decode and prefill",
            node.name, device.memory_gb_per_s, device.tflops, device.memory_efficiency,
            device.compute_efficiency);
    }
    for (const auto* table : {&device.decode, &device.prefill, &device.lm_head}) {
        for (std::size_t i = 0; i < table->size(); ++i) {
            const bool rises = i == 0 || (*table)[i - 1].rows < (*table)[i].rows;
            if (rises && (*table)[i].rows > 0 && (*table)[i].us >= 0) continue;
            return invalid_argument(
                "study: node '{}' has measured {} us for {} rows; rows must be positive and "
                "rise, and times must not be negative",
                node.name, (*table)[i].us, (*table)[i].rows);
        }
    }
    if (node.memory_gib > 0 || device.memory_gib > 0) return {};
    return invalid_argument("study: node '{}' and its device have no memory_gib", node.name);
}

/// Makes the cores of every host that the cluster describes or a node names.
Result<std::map<std::string, std::shared_ptr<SharedCores>>> make_hosts(
    const StudyCluster& cluster) {
    std::map<std::string, std::shared_ptr<SharedCores>> hosts;
    for (const StudyHost& host : cluster.hosts) {
        if (host.cores < 1 || host.cores > limits::kMaxThreads) {
            return invalid_argument("study: host '{}' has {} cores; 1 to {} are permitted",
                                    host.name, host.cores, limits::kMaxThreads);
        }
        if (!(host.part_us >= 0 && host.part_us <= 1e6)) {
            return invalid_argument("study: part_us of host '{}' is {}; 0 to 1e6 are permitted",
                                    host.name, host.part_us);
        }
        if (!(host.contention >= 1 && host.contention <= 100)) {
            return invalid_argument("study: contention of host '{}' is {}; 1 to 100 are permitted",
                                    host.name, host.contention);
        }
        hosts[host.name] = std::make_shared<SharedCores>(host);
    }
    for (const StudyNode& node : cluster.nodes) {
        if (node.host.empty() || hosts.contains(node.host)) continue;
        hosts[node.host] = std::make_shared<SharedCores>(StudyHost{node.host});
    }
    return hosts;
}

SimScenario make_scenario(const StudyCluster& cluster, const StudyOptions& options,
                          std::uint64_t seed) {
    SimScenario scenario;
    scenario.seed = seed;
    scenario.nodes.clear();
    for (const StudyNode& node : cluster.nodes) scenario.nodes.push_back(SimNode{node.name});
    scenario.link = cluster.link;
    scenario.links = cluster.links;
    scenario.workload.max_prompt = scenario.workload.max_output = 1;
    scenario.local_stage = cluster.head_stage;
    scenario.direct_feedback = cluster.direct_feedback;
    scenario.probe_links = cluster.probe_links;
    scenario.lm_head = cluster.lm_head;
    scenario.max_running = cluster.max_running;
    scenario.max_waiting = limits::kMaxWaiting;
    scenario.max_step_tokens = cluster.max_step_tokens;
    scenario.max_slice_tokens = std::min(cluster.max_slice_tokens, cluster.max_step_tokens);
    scenario.block_tokens = cluster.block_tokens;
    scenario.prefix_cache = false;  // the prompts of a study share no prefix
    scenario.scheduler = options.scheduler;
    scenario.transmit = options.transmit;
    return scenario;
}

}  // namespace

Result<StudySetup> set_up_study(const StudyCluster& cluster, const StudyOptions& options,
                                std::uint64_t seed, std::int32_t max_context) {
    ModelSpec spec;
    if (options.spec) {
        spec = *options.spec;
    } else {
        MOLINK_ASSIGN_OR_RETURN(spec, study_model(options.model));
    }
    if (cluster.split != "cost" && cluster.split != "even") {
        return invalid_argument("study: split is '{}'; cost and even are known", cluster.split);
    }
    if (cluster.membership != "static" && cluster.membership != "seed") {
        return invalid_argument("study: membership is '{}'; static and seed are known",
                                cluster.membership);
    }
    if (cluster.lm_head == "first" && !spec.tied_embeddings) {
        return invalid_argument("study: lm_head is 'first'; the model '{}' has no tied embeddings",
                                options.spec ? spec.architecture : options.model);
    }
    StudySetup setup;
    setup.scenario = make_scenario(cluster, options, seed);
    setup.scenario.layers = spec.layers;
    setup.scenario.max_context = std::max(max_context, 2);
    MOLINK_RETURN_IF_ERROR(check_scenario(setup.scenario));
    MOLINK_ASSIGN_OR_RETURN(const double layer_weight, weight_bytes(options.weights));
    StudyParts& parts = setup.parts;
    parts.model = partition_model(spec, cluster, layer_weight, max_context);
    MOLINK_ASSIGN_OR_RETURN(parts.model.activation_row_bytes, row_bytes(options.wire, spec.hidden));
    parts.hidden = spec.hidden;
    parts.even_split = cluster.split == "even";
    parts.fixed_order = cluster.membership == "static";
    parts.max_frame_bytes = static_cast<std::size_t>(frame_limit(cluster));
    const StageCost cost = stage_cost(spec, layer_weight);
    MOLINK_ASSIGN_OR_RETURN(auto hosts, make_hosts(cluster));
    for (const StudyNode& node : cluster.nodes) {
        MOLINK_RETURN_IF_ERROR(check_device(node));
        StudyParts::Node made = make_node(node, cost, parts.model);
        if (!node.host.empty()) {
            made.stage.cores = hosts.at(node.host);
            made.profile.compute_share = 1.0 / made.stage.cores->count();
        }
        parts.nodes.emplace(node.name, std::move(made));
    }
    return setup;
}

}  // namespace molink::sim
