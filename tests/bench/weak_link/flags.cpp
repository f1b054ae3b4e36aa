// Parses the command line and makes the cells that it asks for.
#include "flags.h"

#include <map>
#include <stdexcept>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace molink::bench {
namespace {

const std::string kProfiles = std::string(MOLINK_SOURCE_DIR) + "/tests/bench/profiles/";
constexpr double kQuickSeconds = 6;

System system_of(const Flags& flags, const std::string& name) {
    std::map<std::string, System> known;
    known["gpu-7b"] = {name, kProfiles + "llama-2-7b", kProfiles + "rtx4090-llama-2-7b.json"};
    known["cpu-160m-timed"] = {name, kProfiles + "160m", kProfiles + "cpu-160m.json", "f32"};
    known["cpu-160m"] = {name, "160m", "", "f32"};
    known["cpu-1b"] = {name, "1b", "", "f32", 2};
    const auto found = known.find(name);
    if (found == known.end()) throw std::runtime_error("there is no system '" + name + "'");
    System system = found->second;
    if (!flags.wire.empty()) system.wire = flags.wire;
    if (flags.nodes > 0) system.nodes = flags.nodes;
    system.local_stage = !flags.no_local_stage;
    system.direct_feedback = !flags.no_direct_feedback;
    return system;
}

struct Pair {
    std::string scheduler;
    std::string transmit;
};

std::vector<Pair> pairs_of(const Flags& flags) {
    std::vector<Pair> pairs;
    for (const std::string& pair : flags.pairs) {
        const std::size_t plus = pair.find('+');
        if (plus == std::string::npos) {
            throw std::runtime_error("--pairs: '" + pair + "' is not SCHEDULER+TRANSMIT");
        }
        pairs.push_back({pair.substr(0, plus), pair.substr(plus + 1)});
    }
    if (!pairs.empty()) return pairs;
    for (const std::string& scheduler : flags.schedulers) {
        for (const std::string& transmit : flags.transmits) pairs.push_back({scheduler, transmit});
    }
    return pairs;
}

/// Adds a cell for each pair, and for each budget where it matters: in mixed loads, for schedulers
/// with a fixed budget.
void add_cells(const Flags& flags, const Cell& like, std::vector<Cell>& cells) {
    for (const Pair& pair : pairs_of(flags)) {
        std::vector<std::int32_t> budgets{0};
        if (pair.scheduler != "adaptive") {
            budgets = like.workload.mixed() ? flags.step_tokens : std::vector<std::int32_t>{2048};
        }
        for (std::int32_t tokens : budgets) {
            for (const std::string& keys : flags.keys) {
                if (keys != "on" && keys != "off") {
                    throw std::runtime_error("--keys: '" + keys + "' is not on or off");
                }
                Cell cell = like;
                cell.scheduler = pair.scheduler;
                cell.transmit = pair.transmit;
                cell.step_tokens = tokens;
                cell.keys = keys == "on";
                cells.push_back(std::move(cell));
            }
        }
    }
}

std::vector<Cell> cells_of_round(const Flags& flags, int round) {
    const auto or_all = [](const std::vector<std::string>& some, std::vector<std::string> all) {
        return some.empty() ? all : some;
    };
    std::vector<Cell> cells;
    for (const std::string& system :
         or_all(flags.systems, {"gpu-7b", "cpu-160m-timed", "cpu-160m"})) {
        for (const std::string& link : or_all(flags.links, link_names())) {
            for (const std::string& load : or_all(flags.workloads, workload_names())) {
                Cell like;
                like.system = system_of(flags, system);
                like.link = parse_link(link);
                like.workload = parse_workload(load);
                like.round = round;
                add_cells(flags, like, cells);
            }
        }
    }
    return cells;
}

/// The cells that tell most: the defaults and the three baselines, and one whose stages compute.
std::vector<Flags> quick(const Flags& flags) {
    Flags timed = flags;
    timed.systems = {"gpu-7b"};
    timed.links = {"100M-30ms", "30M-50ms"};
    timed.workloads = {"1", "32", "mixed45"};
    timed.pairs = {"single+fifo", "depth+fifo", "molink-paper+fifo", "adaptive+fair"};
    Flags computing = timed;
    computing.systems = {"cpu-160m"};
    computing.nodes = 2;
    computing.links = {"100M-15ms"};
    computing.workloads = {"32"};
    computing.pairs = {"adaptive+fair"};
    return {timed, computing};
}

}  // namespace

int parse_flags(int argc, char** argv, Flags& flags) {
    CLI::App app("Measures schedulers and transmit policies over weak links, in real processes.");
    const auto list = [&](const char* name, auto& to, const char* what) {
        app.add_option(name, to, what)->delimiter(',');
    };
    list("--systems", flags.systems, "gpu-7b, cpu-160m-timed, cpu-160m, cpu-1b");
    list("--links", flags.links, "names, or UP[/DOWN]M-DELAYms[-JITTERms] (default: all)");
    list("--loads", flags.workloads,
         "names, numbers of streams, or mixed:STREAMS:RATE with prompts per second or a percentage "
         "of the bottleneck (default: all)");
    list("--schedulers", flags.schedulers, "names of schedulers");
    list("--transmit", flags.transmits, "names of transmit policies");
    list("--keys", flags.keys, "off, on: whether nodes have keys and links are encrypted");
    list("--pairs", flags.pairs, "SCHEDULER+TRANSMIT, instead of all combinations");
    list("--step-tokens", flags.step_tokens, "rows of a micro-batch in mixed loads");
    app.add_option("--wire", flags.wire, "f32, f16, bf16 or int8 (default: the system's)");
    app.add_option("--nodes", flags.nodes, "stages (default: the system's)");
    app.add_option("--rounds", flags.rounds, "how often each cell is measured");
    app.add_option("--seconds", flags.seconds,
                   "length of a measurement; at most 10 if no prompts arrive");
    app.add_option("--cores", flags.cores, "cores that computing stages share (default: all)");
    app.add_flag("--no-local-stage", flags.no_local_stage,
                 "the head holds no stage, and its links are like the others");
    app.add_flag("--no-direct-feedback", flags.no_direct_feedback,
                 "with --no-local-stage, send tokens to the first stage through the head");
    app.add_flag("--quick", flags.quick, "only the cells that tell most, in less than 8 minutes");
    app.add_option("--json", flags.json,
                   "file with a line for each cell; cells that it has are not run again");
    app.add_option("--models", flags.models, "folder for random weights");
    app.add_flag("--simulate", flags.simulate, "run every cell in the simulator, too");
    app.add_option("--markdown", flags.markdown, "file for a table of both; implies --simulate");
    app.add_option("--policy-table", flags.policy_table,
                   "file for Markdown tables of the policies, one for each system, link and load");
    CLI11_PARSE(app, argc, argv);
    for (int i = 1; i < argc; ++i) flags.command += fmt::format("{}{}", i > 1 ? " " : "", argv[i]);
    if (flags.quick) flags.seconds = kQuickSeconds;
    flags.simulate |= !flags.markdown.empty();
    return -1;
}

std::vector<Cell> cells_of(const Flags& flags) {
    std::vector<Cell> cells;
    for (int round = 0; round < flags.rounds; ++round) {
        for (const Flags& some : flags.quick ? quick(flags) : std::vector<Flags>{flags}) {
            for (Cell& cell : cells_of_round(some, round)) cells.push_back(std::move(cell));
        }
    }
    return cells;
}

}  // namespace molink::bench
