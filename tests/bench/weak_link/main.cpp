// weak_link: what schedulers and transmit policies reach over slow, distant links. Real processes
// over a relay of its own; stages that take the times of a profile, or that compute. Prints one
// line for each cell, and the two limits beside it; with --json a file that a later run goes on
// from.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <molink/random_model.h>

#include "bench_machine.h"
#include "limits.h"
#include "load.h"
#include "wire/activation_codec.h"

namespace molink::bench {
namespace {

struct Flags {
    std::vector<std::string> systems{"gpu-7b", "cpu-160m-timed", "cpu-160m"};
    std::vector<std::string> links;
    std::vector<std::string> workloads;
    std::vector<std::string> schedulers{"single", "depth", "molink-paper", "adaptive"};
    std::vector<std::string> transmits{"fifo", "strict", "fair"};
    std::vector<std::int32_t> step_tokens{2048};
    std::string wire;
    int nodes = 0;
    int rounds = 1;
    double seconds = 30;
    bool quick = false;
    std::string json;
    std::string models = "weak_link_models";
};

const std::string kProfiles = std::string(MOLINK_SOURCE_DIR) + "/tests/bench/profiles/";

System system_of(const Flags& flags, const std::string& name) {
    const std::map<std::string, System> known{
        {"gpu-7b",
         {name, kProfiles + "llama-2-7b", kProfiles + "rtx4090-llama-2-7b.json", "f16", 3}},
        {"cpu-160m-timed", {name, kProfiles + "160m", kProfiles + "cpu-160m.json", "f32", 3}},
        {"cpu-160m", {name, "160m", "", "f32", 3}},
        {"cpu-1b", {name, "1b", "", "f32", 2}},
    };
    const auto found = known.find(name);
    if (found == known.end()) throw std::runtime_error("no system is called '" + name + "'");
    System system = found->second;
    if (!flags.wire.empty()) system.wire = flags.wire;
    if (flags.nodes > 0) system.nodes = flags.nodes;
    return system;
}

/// All of a list, or those whose name is asked for.
template <typename T>
std::vector<T> choose(const std::vector<T>& all, const std::vector<std::string>& names,
                      const char* what) {
    if (names.empty()) return all;
    std::vector<T> chosen;
    for (const std::string& name : names) {
        const auto found =
            std::find_if(all.begin(), all.end(), [&](const T& one) { return one.name == name; });
        if (found == all.end()) {
            throw std::runtime_error(fmt::format("no {} is called '{}'", what, name));
        }
        chosen.push_back(*found);
    }
    return chosen;
}

void make_quick(Flags& flags) {
    flags.systems = {"gpu-7b"};
    flags.links = {"100M-30ms", "30M-50ms"};
    flags.workloads = {"1", "32", "mixed45"};
    flags.transmits = {"fifo", "fair"};
    flags.seconds = 12;
}

std::vector<Cell> cells_of(const Flags& flags) {
    std::vector<Cell> cells;
    for (int round = 0; round < flags.rounds; ++round) {
        for (const std::string& system : flags.systems) {
            for (const LinkShape& link : choose(link_shapes(), flags.links, "link")) {
                for (const Workload& load : choose(workloads(), flags.workloads, "workload")) {
                    for (const std::string& scheduler : flags.schedulers) {
                        for (const std::string& transmit : flags.transmits) {
                            // Only mixed loads of fixed budgets depend on the budget.
                            const bool budget = scheduler != "adaptive";
                            const bool mixed = load.load > 0 || load.prompts_per_s > 0;
                            std::vector<std::int32_t> budgets{budget ? 2048 : 0};
                            if (budget && mixed) budgets = flags.step_tokens;
                            for (std::int32_t tokens : budgets) {
                                cells.push_back({system_of(flags, system), link, load, scheduler,
                                                 transmit, tokens, round});
                            }
                        }
                    }
                }
            }
        }
    }
    return cells;
}

/// The model's folder; a shape's is written first.
std::string model_folder(const Flags& flags, const System& system) {
    if (!system.profile.empty()) return system.model;
    const std::string folder = flags.models + "/" + system.model;
    if (std::filesystem::exists(folder + "/config.json")) return folder;
    fmt::print(stderr, "writing random weights of shape {} to {}\n", system.model, folder);
    RandomModelOptions options;
    options.shape = *shape_by_name(system.model);
    const Status written = write_random_model(folder, options);
    if (!written.ok()) throw std::runtime_error(written.message());
    return folder;
}

nlohmann::json to_json(const Spread& spread) {
    return {{"p50", spread.p50}, {"p90", spread.p90}, {"p99", spread.p99}, {"max", spread.max}};
}

nlohmann::json run_cell(const Flags& flags, const Cell& cell) {
    BenchCluster cluster(cell, model_folder(flags, cell.system), MOLINK_BIN_DIR);
    const ClusterView view = cluster.engine().cluster();
    std::vector<std::int32_t> layers;
    for (NodeId id : view.stages) {
        for (const NodeInfo& node : view.nodes) {
            if (node.id == id) layers.push_back(node.layers.size());
        }
    }
    DataType wire = DataType::f32;
    for (DataType type : {DataType::f16, DataType::bf16, DataType::int8}) {
        if (data_type_name(type) == cell.system.wire) wire = type;
    }
    const auto row = static_cast<std::int32_t>(
        activation_bytes(wire, 1, static_cast<std::size_t>(cluster.engine().model().hidden)));
    const bool timed = !cell.system.profile.empty();
    // Stages that compute are taken for what one thread of this machine measured.
    const TimedProfile profile =
        read_profile(timed ? cell.system.profile : kProfiles + "cpu-160m.json");
    const Limits limits = decode_limits(cell, profile, layers, row);
    double prompts = cell.workload.prompts_per_s;
    if (cell.workload.load > 0) {
        prompts = cell.workload.load * prefill_rate(cell, profile, layers, row) / 768;
    }
    const Measured got = run_load(cluster, cell, {prompts, flags.seconds, limits.many});
    const bool share = prompts <= 0 && timed;
    return {{"key", cell.key()},
            {"system", cell.system.name},
            {"nodes", cell.system.nodes},
            {"wire", cell.system.wire},
            {"link", cell.link.name},
            {"workload", cell.workload.name},
            {"scheduler", cell.scheduler},
            {"transmit", cell.transmit},
            {"step_tokens", cell.step_tokens},
            {"layers", layers},
            {"tokens_per_s", got.tokens_per_s},
            {"tpot_ms", got.tpot_ms},
            {"ttft_ms", to_json(got.ttft)},
            {"gap_ms", to_json(got.gap)},
            {"gap_beside_prefill_ms", to_json(got.gap_beside)},
            {"link_use", got.link_use},
            {"stage_busy", got.stage_busy},
            {"micro_batches", got.micro_batches},
            {"prompts_per_s", prompts},
            {"prompts", got.prompts},
            {"unfinished", got.unfinished},
            {"limit", share ? limits.many : 0},
            {"limit_one", share ? limits.one : 0}};
}

void print_header() {
    fmt::print(
        "{:<15}{:<17}{:<10}{:<13}{:<7}{:>5}{:>9}{:>7}{:>8}{:>9}{:>9}{:>8}{:>9}{:>9}{:>6}"
        "{:>6}{:>4}\n",
        "system", "link", "load", "scheduler", "sends", "step", "tok/s", "share", "TPOT", "TTFT50",
        "TTFT90", "gap99", "beside99", "gapmax", "link", "busy", "mb");
}

void print_row(const nlohmann::json& row) {
    const double limit = row["limit"].get<double>();
    const double tokens = row["tokens_per_s"].get<double>();
    fmt::print(
        "{:<15}{:<17}{:<10}{:<13}{:<7}{:>5}{:>9.1f}{:>7}{:>8.1f}{:>9.0f}{:>9.0f}{:>8.0f}"
        "{:>9.0f}{:>9.0f}{:>5.0f}%{:>5.0f}%{:>4}\n",
        row["system"].get<std::string>(), row["link"].get<std::string>(),
        row["workload"].get<std::string>(), row["scheduler"].get<std::string>(),
        row["transmit"].get<std::string>(), row["step_tokens"].get<int>(), tokens,
        limit > 0 ? fmt::format("{:.0f}%", 100 * tokens / limit) : "-",
        row["tpot_ms"].get<double>(), row["ttft_ms"]["p50"].get<double>(),
        row["ttft_ms"]["p90"].get<double>(), row["gap_ms"]["p99"].get<double>(),
        row["gap_beside_prefill_ms"]["p99"].get<double>(), row["gap_ms"]["max"].get<double>(),
        100 * row["link_use"].get<double>(), 100 * row["stage_busy"].get<double>(),
        row["micro_batches"].get<int>());
    std::fflush(stdout);
}

/// The cells that a file of an earlier run has.
std::map<std::string, nlohmann::json> read_done(const std::string& path) {
    std::map<std::string, nlohmann::json> done;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        auto row = nlohmann::json::parse(line, nullptr, false);
        if (!row.is_object()) continue;
        const std::string key = row.value("key", "");
        done[key] = std::move(row);
    }
    return done;
}

int run(const Flags& flags) {
    const std::vector<Cell> cells = cells_of(flags);
    auto done = read_done(flags.json);
    fmt::print("{} cells on {}, {} threads\n", cells.size(), cpu_model(),
               std::thread::hardware_concurrency());
    print_header();
    int failed = 0;
    for (const Cell& cell : cells) {
        const auto known = done.find(cell.key());
        if (known != done.end()) {
            print_row(known->second);
            continue;
        }
        try {
            const nlohmann::json row = run_cell(flags, cell);
            if (!flags.json.empty()) {
                std::ofstream(flags.json, std::ios::app) << row.dump() << "\n";
            }
            print_row(row);
        } catch (const std::exception& error) {
            fmt::print(stderr, "{}: {}\n", cell.key(), error.what());
            ++failed;
        }
    }
    return failed == 0 ? 0 : 1;
}

int main_of(int argc, char** argv) {
    Flags flags;
    CLI::App app("Schedulers and transmit policies over weak links, in real processes.");
    app.add_option("--systems", flags.systems, "gpu-7b, cpu-160m-timed, cpu-160m, cpu-1b")
        ->delimiter(',');
    app.add_option("--links", flags.links, "by name (default: all)")->delimiter(',');
    app.add_option("--loads", flags.workloads, "by name (default: all)")->delimiter(',');
    app.add_option("--schedulers", flags.schedulers)->delimiter(',');
    app.add_option("--transmit", flags.transmits)->delimiter(',');
    app.add_option("--step-tokens", flags.step_tokens, "budgets of mixed loads")->delimiter(',');
    app.add_option("--wire", flags.wire, "f32, f16, bf16 or int8 (default: the system's)");
    app.add_option("--nodes", flags.nodes, "default: the system's");
    app.add_option("--rounds", flags.rounds);
    app.add_option("--seconds", flags.seconds, "of a mixed load");
    app.add_flag("--quick", flags.quick, "the cells that say most, in under 8 minutes");
    app.add_option("--json", flags.json, "a line for each cell; cells that it has are not run");
    app.add_option("--models", flags.models, "folder for random weights");
    CLI11_PARSE(app, argc, argv);
    if (flags.quick) make_quick(flags);
    try {
        return run(flags);
    } catch (const std::exception& error) {
        fmt::print(stderr, "weak_link: {}\n", error.what());
        return 2;
    }
}

}  // namespace
}  // namespace molink::bench

int main(int argc, char** argv) {
    return molink::bench::main_of(argc, argv);
}
