// One measurement from start to end: the model's folder, service times, cluster, limits and load.
// The same cell can then run in the simulator, with what the row of the file says.
#include "experiment.h"

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>
#include <molink/partitioner.h>
#include <molink/random_model.h>

#include "bench_machine.h"
#include "limits.h"
#include "load.h"
#include "service_times.h"
#include "simulated.h"

namespace molink::bench {
namespace {

using Json = nlohmann::json;

constexpr double kMostDecodeSeconds = 10;
/// Prefill gets at least this share of the slowest resource while streams decode.
constexpr double kLeastPrefillShare = 0.2;

Json to_json(const Spread& spread) {
    return {{"p50", spread.p50}, {"p90", spread.p90}, {"p99", spread.p99}, {"max", spread.max}};
}

/// Converts a table of values by rows: ProfilePoint or Slowdown.
template <typename Point>
Json to_json(const std::vector<Point>& table) {
    Json points = Json::array();
    for (const auto& [rows, value] : table) points.push_back({rows, value});
    return points;
}

template <typename Point>
std::vector<Point> points_of(const Json& table) {
    std::vector<Point> points;
    for (const Json& point : table) points.push_back({point.at(0), point.at(1)});
    return points;
}

/// Returns the model's folder. Writes random weights first if a shape has none.
std::string model_folder(const Bench& bench, const System& system) {
    if (system.timed()) return system.model;
    const std::string folder = bench.models + "/" + system.model;
    if (std::filesystem::exists(folder + "/config.json")) return folder;
    fmt::print(stderr, "writing random weights of shape {} to {}\n", system.model, folder);
    const double begin_s = now_s();
    RandomModelOptions options;
    options.shape = *shape_by_name(system.model);
    const Status written = write_random_model(folder, options);
    if (!written.ok()) throw std::runtime_error(written.message());
    fmt::print(stderr, "written in {:.0f} s\n", now_s() - begin_s);
    return folder;
}

DeviceProfile device_of(const Bench& bench, const System& system) {
    if (system.timed()) return timed_device(read_profile(system.profile));
    const Json& known = bench.devices.at(system.model);
    DeviceProfile device;
    device.name = "measured";
    device.decode = points_of<ProfilePoint>(known.at("decode_us"));
    device.prefill = points_of<ProfilePoint>(known.at("prefill_us"));
    device.lm_head = points_of<ProfilePoint>(known.at("lm_head_us"));
    return device;
}

RingLoad ring_of(const Bench& bench, const Cell& cell, std::vector<std::int32_t> layers,
                 const ModelSpec& spec) {
    RingLoad ring;
    ring.system = cell.system;
    ring.link = cell.link;
    ring.device = device_of(bench, cell.system);
    ring.layers = std::move(layers);
    ring.row_bytes =
        static_cast<double>(activation_row_bytes(wire_type(cell.system.wire), spec.hidden));
    if (cell.system.timed()) return ring;
    ring.cores = bench.cores;
    ring.contention = points_of<Slowdown>(bench.devices.at(cell.system.model).at("contention"));
    return ring;
}

std::vector<std::int32_t> layers_of(const ClusterView& view) {
    std::vector<std::int32_t> layers;
    for (NodeId id : view.stages) {
        for (const NodeInfo& node : view.nodes) {
            if (node.id == id) layers.push_back(node.layers.size());
        }
    }
    return layers;
}

LoadPlan plan_of(const Bench& bench, const Cell& cell, const RingLoad& ring, double limit) {
    LoadPlan plan;
    plan.streams = cell.workload.streams;
    plan.prompts_per_s = cell.workload.prompts_per_s;
    if (cell.workload.load > 0) {
        plan.prompts_per_s = cell.workload.load * prefill_rate(ring) / kPromptMean;
    }
    plan.seconds =
        cell.workload.mixed() ? bench.seconds : std::min(bench.seconds, kMostDecodeSeconds);
    // Twice what the limit permits, so that no stream ends during the measurement. Before it, the
    // first streams decode as if alone while the prompts of all go through prefill's share.
    const double ramp_s = plan.streams * kShortPrompt / (kLeastPrefillShare * prefill_rate(ring));
    const double each = 2 * (plan.seconds + kWarmSeconds) * limit / plan.streams +
                        ramp_s * decode_limits(ring, 1).many + 64;
    plan.output = static_cast<std::int32_t>(std::min<double>(each, kLongestOutput));
    return plan;
}

Json result_json(const Measured& got) {
    return {{"tokens_per_s", got.tokens_per_s},
            {"tpot_ms", got.tpot_ms},
            {"ttft_ms", to_json(got.ttft)},
            {"gap_ms", to_json(got.gap)},
            {"gap_beside_prefill_ms", to_json(got.gap_beside)},
            {"prompts", got.prompts},
            {"unfinished", got.unfinished}};
}

/// What the nodes have measured of their links.
Json to_json(const std::vector<LinkMetrics>& links) {
    Json list = Json::array();
    for (const LinkMetrics& link : links) {
        list.push_back({{"from", link.node},
                        {"to", link.peer},
                        {"mbit_per_s", link.model.bytes_per_s * 8e-6},
                        {"delay_ms", static_cast<double>(link.model.delay_us) * 1e-3},
                        {"round_trip_ms", static_cast<double>(link.round_trip_us) * 1e-3}});
    }
    return list;
}

Json cell_json(const Cell& cell) {
    return {{"key", cell.key()},
            {"system", cell.system.name},
            {"nodes", cell.system.nodes},
            {"wire", cell.system.wire},
            {"local_stage", cell.system.local_stage},
            {"direct_feedback", cell.system.direct_feedback},
            {"link", cell.link.name},
            {"workload", cell.workload.name},
            {"scheduler", cell.scheduler},
            {"transmit", cell.transmit},
            {"keys", cell.keys},
            {"step_tokens", cell.step_tokens},
            {"round", cell.round}};
}

}  // namespace

bool prepare(Bench& bench, const Cell& cell) {
    const System& system = cell.system;
    if (system.timed() || bench.devices.contains(system.model)) return false;
    const std::string folder = model_folder(bench, system);
    fmt::print(stderr, "measuring service times of {}\n", system.model);
    const DeviceProfile device = measure_device(folder);
    bench.devices[system.model] = {
        {"decode_us", to_json(device.decode)},
        {"prefill_us", to_json(device.prefill)},
        {"lm_head_us", to_json(device.lm_head)},
        {"contention", to_json(measure_contention(folder, bench.cores))}};
    return true;
}

Json run_cell(const Bench& bench, const Cell& cell) {
    BenchCluster cluster(cell, model_folder(bench, cell.system), MOLINK_BIN_DIR);
    const std::vector<std::int32_t> layers = layers_of(cluster.engine().cluster());
    const RingLoad ring = ring_of(bench, cell, layers, cluster.engine().model());
    const Limits limits = decode_limits(ring, cell.workload.streams);
    const LoadPlan plan = plan_of(bench, cell, ring, limits.many);
    const RunLoad run = run_load(cluster, plan);
    const Measured got = measure(run.streams);
    Json row = cell_json(cell);
    row.update(result_json(got));
    const bool decode = !cell.workload.mixed();
    row["layers"] = layers;
    row["cores"] = ring.cores;
    row["cpu"] = cpu_model();
    row["warm_s"] = run.warm_s;
    row["begin_s"] = run.streams.begin;
    row["seconds"] = plan.seconds;
    row["output"] = plan.output;
    row["prompts_per_s"] = plan.prompts_per_s;
    row["link_use"] = run.usage.link_use;
    row["link_bytes"] = run.usage.link_bytes;
    row["links"] = to_json(run.usage.links);
    row["stage_busy"] = run.usage.stage_busy;
    row["part_us"] = run.usage.part_us;
    row["micro_batches"] = run.usage.micro_batches;
    row["limit"] = decode ? limits.many : 0;
    row["limit_one"] = decode ? limits.one : 0;
    row["share"] = decode ? got.tokens_per_s / limits.many : 0;
    row["share_one"] = decode ? got.tokens_per_s / limits.one : 0;
    const bool single = decode && cell.workload.streams == 1;
    row["propagation"] = single ? propagation(ring, got.tpot_ms) : 0;
    return row;
}

namespace {

/// Returns the smallest delay that a node has measured.
double measured_delay_ms(const Json& row) {
    double least = 1e9;
    for (const Json& link : row.at("links")) {
        const double delay = link.at("delay_ms");
        if (delay > 0) least = std::min(least, delay);
    }
    return least;
}

}  // namespace

Json simulate_row(const Bench& bench, const Cell& cell, const Json& row, double begin) {
    SimulatedCell simulated;
    simulated.cell = cell;
    simulated.spec = read_spec(model_folder(bench, cell.system));
    simulated.ring = ring_of(bench, cell, row.at("layers"), simulated.spec);
    simulated.plan.streams = cell.workload.streams;
    simulated.plan.output = row.at("output");
    simulated.plan.prompts_per_s = row.at("prompts_per_s");
    simulated.plan.seconds = row.at("seconds");
    // If stages compute, part_us includes the time of sockets and relay.
    const bool computes = simulated.ring.cores > 0;
    simulated.delay_ms = computes || cell.link.jitter_ms > 0 ? 0 : measured_delay_ms(row);
    if (computes) simulated.part_us = row.at("part_us");
    simulated.warm = row.at("warm_s");
    simulated.begin = begin;
    const Simulated run = simulate_cell(simulated);
    Json result = result_json(measure(run.streams));
    result["simulated"] = cell.group();
    result["micro_batches"] = run.micro_batches;
    result["link_use"] = run.link_use;
    result["stage_busy"] = run.stage_busy;
    return result;
}

}  // namespace molink::bench
