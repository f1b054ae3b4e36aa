// Draws studies from a seed: clusters of one to six nodes, of GPUs or of CPUs, near or far, and
// loads from one stream to more than the cluster can serve. They are small, so that policies can be
// compared on hundreds of them. The rate of an open load is a multiple of what the cluster could
// serve at most, so that idle, busy and overloaded clusters all occur.
#include <algorithm>
#include <cmath>

#include <molink/study.h>

#include "sim/draw.h"
#include "stage/stage_profile.h"

namespace molink {
namespace {

using sim::Draw;

constexpr std::uint64_t kStudySwarm = 0x7374756479;
constexpr double kGib = 1024.0 * 1024 * 1024;
/// Rows of a part that the estimate of a cluster's rate assumes.
constexpr std::int32_t kTypicalBatch = 8;
constexpr std::int32_t kTypicalSlice = 256;
/// Least number of requests for each that runs at once, unless all run at once.
constexpr std::int32_t kWaves = 6;

struct RequestShape {
    double prompt = 0;  // mean tokens
    double output = 0;
};

/// Draws from `low` to `high`; every order of magnitude is equally likely.
double spread(Draw& draw, double low, double high) {
    const double share = static_cast<double>(draw.between(0, 1000)) / 1000;
    return low * std::pow(high / low, share);
}

double weight_bytes(const StudyCase& study) {
    return study.options.weights == "q4" ? 4.5 / 8 : 2;
}

double model_gib(const StudyCase& study) {
    const ModelSpec& spec = *study.options.spec;
    const auto layers = static_cast<double>(layer_parameters(spec) * spec.layers);
    return (layers * weight_bytes(study) + 4.0 * static_cast<double>(embedding_parameters(spec))) /
           kGib;
}

/// Draws a CPU that computes one to a few hundred rows in the time in which it reads the weights.
/// It is described by a roofline, or by a table in which these two times add up.
DeviceProfile draw_cpu(Draw& draw, const StageCost& cost) {
    DeviceProfile device;
    device.name = "cpu";
    device.memory_gib = 64;
    device.memory_gb_per_s = spread(draw, 8, 60);
    device.tflops = spread(draw, 0.05, 2);
    device.launch_us = static_cast<double>(draw.count(2, 20));
    if (draw.chance(0.5)) return device;
    const auto table = [&](double bytes, double flops) {
        const double base_us = bytes / (device.memory_gb_per_s * 1e3) + device.launch_us;
        const double row_us = flops / (device.tflops * 1e6);
        return std::vector<ProfilePoint>{{1, base_us + row_us}, {512, base_us + 512 * row_us}};
    };
    device.decode = device.prefill =
        table(cost.layers.front().weight_bytes, cost.layers.front().row_flops);
    device.lm_head = table(cost.lm_head_bytes, cost.lm_head_row_flops);
    return device;
}

DeviceProfile draw_device(Draw& draw, bool gpu, const StageCost& cost) {
    if (!gpu) return draw_cpu(draw, cost);
    return *device_profile(draw.one_of({"rtx-3090", "rtx-4090", "rtx-2080-ti", "a100"}));
}

LinkModel draw_study_link(Draw& draw) {
    LinkModel link;
    link.bytes_per_s = draw.one_of({10.0, 30.0, 100.0, 1000.0, 1000.0, 10'000.0}) * 125'000;
    link.delay_us = draw.one_of<std::int64_t>({50, 200, 1'000, 5'000, 15'000, 30'000, 50'000});
    if (draw.chance(0.2)) link.jitter_us = draw.between(0, link.delay_us / 2);
    return link;
}

void draw_model(Draw& draw, bool gpu, StudyCase& study) {
    StudyOptions& options = study.options;
    options.model = gpu ? draw.one_of({"1b", "llama-2-7b", "llama-2-7b", "llama-2-13b"})
                        : draw.one_of({"160m", "160m", "1b"});
    options.spec = *study_model(options.model);
    options.spec->tied_embeddings = draw.chance(0.4);
    options.weights = draw.one_of({"f16", "f16", "q4"});
    options.wire = draw.one_of({"f16", "f16", "f32", "int8"});
}

/// Returns whether the model and some contexts fit, with room for an uneven split.
bool fits(const StudyCase& study) {
    double gib = 0;
    for (const StudyNode& node : study.cluster.nodes) gib += 0.9 * node.device.memory_gib;
    if (!study.cluster.head_stage) gib -= 0.9 * study.cluster.nodes.front().device.memory_gib;
    return gib > 1.3 * model_gib(study) + 4.0 * static_cast<double>(study.cluster.nodes.size());
}

void draw_nodes(Draw& draw, bool gpu, StudyCase& study) {
    StudyCluster& cluster = study.cluster;
    cluster.nodes.clear();
    const std::int32_t count = draw.count(1, 6);
    const bool alike = draw.chance(0.6);
    const StageCost cost = stage_cost(*study.options.spec, weight_bytes(study));
    for (std::int32_t i = 0; i < count; ++i) {
        StudyNode node;
        node.name = i == 0 ? "head" : "worker-" + std::to_string(i);
        node.device = alike && i > 0 ? cluster.nodes.front().device : draw_device(draw, gpu, cost);
        cluster.nodes.push_back(std::move(node));
    }
    cluster.head_stage = count == 1 || draw.chance(0.75);
    if (alike && draw.chance(0.3)) cluster.split = "even";
}

/// Puts some or all nodes on one machine, which has at most one core for each.
void draw_hosts(Draw& draw, StudyCluster& cluster) {
    const auto count = static_cast<std::int32_t>(cluster.nodes.size());
    if (count == 1 || !draw.chance(0.2)) return;
    const std::int32_t inside = draw.count(2, count);
    for (std::int32_t i = 0; i < inside; ++i) {
        cluster.nodes[static_cast<std::size_t>(i)].host = "box";
    }
    StudyHost host{"box", draw.count(1, inside)};
    host.part_us = draw.one_of({0.0, 0.0, 100.0, 500.0});
    host.contention = draw.one_of({1.0, 1.0, 1.3});
    cluster.hosts = {host};
}

void draw_links(Draw& draw, StudyCluster& cluster) {
    cluster.link = draw_study_link(draw);
    const double others = draw.one_of({0.0, 0.0, 0.2});
    for (const StudyNode& from : cluster.nodes) {
        for (const StudyNode& to : cluster.nodes) {
            if (from.name == to.name || !draw.chance(others)) continue;
            cluster.links.push_back({from.name, to.name, draw_study_link(draw)});
        }
    }
}

void draw_engine(Draw& draw, StudyCase& study) {
    StudyCluster& cluster = study.cluster;
    const bool tied = study.options.spec->tied_embeddings;
    cluster.lm_head = draw.one_of({"auto", "last", tied ? "first" : "auto"});
    cluster.direct_feedback = draw.chance(0.7);
    // Either all requests run at once, or there are so many waves of them that it matters little
    // which long answer comes last.
    do cluster.max_running = draw.one_of({8, 16, 64, 256});
    while (cluster.max_running < study.workload.count &&
           cluster.max_running * kWaves > study.workload.count);
    cluster.max_step_tokens = draw.one_of({128, 512, 512, 2048});
    cluster.max_slice_tokens = std::min(cluster.max_step_tokens, draw.one_of({128, 256, 2048}));
    cluster.probe_links = draw.chance(0.85);
}

TokenQuantiles draw_lengths(Draw& draw, double mean) {
    const auto tokens = [&](double share) { return std::max(1.0, std::round(mean * share)); };
    switch (draw.count(0, 2)) {
        case 0: return {{0, tokens(1)}};
        case 1: return {{0, tokens(0.25)}, {1, tokens(1.75)}};
        default: return {{0, tokens(0.1)}, {0.5, tokens(0.6)}, {0.9, tokens(1.8)}, {1, tokens(4)}};
    }
}

/// Estimates the requests per second that the nodes could serve if the layers were split in the
/// best way and the links were the only other limit.
double most_per_s(const StudyCase& study, const RequestShape& shape) {
    const ModelSpec& spec = *study.options.spec;
    const StageCost cost = stage_cost(spec, weight_bytes(study));
    const StudyCluster& cluster = study.cluster;
    const PartLoad slice{{{0, kTypicalSlice}}, 0};
    const PartLoad batch{std::vector<LoadRun>(kTypicalBatch, {0, 1}), 0};
    double rate = 0;
    for (std::size_t i = cluster.head_stage ? 0 : 1; i < cluster.nodes.size(); ++i) {
        const StageProfile profile(cluster.nodes[i].device, cost);
        const double row_us = profile.layer_us(PartKind::prefill, slice, 0) / kTypicalSlice;
        const double token_us = profile.layer_us(PartKind::decode, batch, 0) / kTypicalBatch;
        rate += 1e6 / (spec.layers * (shape.prompt * row_us + shape.output * token_us));
    }
    if (cluster.nodes.size() == 1) return rate;
    const double bytes = 2.0 * spec.hidden * (shape.prompt + shape.output);
    return std::min(rate, cluster.link.bytes_per_s / bytes);
}

void draw_workload(Draw& draw, StudyCase& study) {
    StudyWorkload& workload = study.workload;
    const RequestShape shape{spread(draw, 8, 1200), spread(draw, 4, 200)};
    workload.prompt = draw_lengths(draw, shape.prompt);
    workload.output = draw_lengths(draw, shape.output);
    const double requests = std::min(4000 / shape.output, 30'000 / shape.prompt);
    workload.count = std::clamp(static_cast<std::int32_t>(requests), 24, 96);
    switch (draw.count(0, 3)) {
        case 0:
            workload.poisson_per_s =
                most_per_s(study, shape) * draw.one_of({0.2, 0.5, 0.8, 1.2, 3.0});
            break;
        case 1:
            workload.streams = std::min(draw.one_of({1, 2, 4, 8, 16}), workload.count / kWaves);
            break;
        case 2: workload.burst = workload.count; break;
        default:
            workload.burst = draw.count(2, 16);
            workload.burst_every_s =
                workload.burst / most_per_s(study, shape) * draw.one_of({0.5, 1.0, 2.0});
    }
    workload.poisson_per_s =
        std::max(workload.poisson_per_s, workload.poisson_per_s > 0 ? 1e-4 : 0);
    workload.seed = static_cast<std::uint64_t>(draw.between(1, 1 << 30));
}

}  // namespace

StudyCase swarm_study(std::uint64_t seed) {
    Draw draw(seed ^ kStudySwarm);
    StudyCase study;
    const bool gpu = draw.chance(0.5);
    do {
        draw_model(draw, gpu, study);
        draw_nodes(draw, gpu, study);
    } while (!fits(study));
    draw_hosts(draw, study.cluster);
    draw_links(draw, study.cluster);
    draw_workload(draw, study);
    draw_engine(draw, study);
    return study;
}

}  // namespace molink
