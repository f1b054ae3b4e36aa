// molink-simulate: runs a scenario file or seeds of the swarm in the deterministic simulator and
// prints how often each kind of event happened. After a failure it prints the command that repeats
// it. With a cluster and a workload it runs studies instead (simulate/). Exit status: 0 success, 1
// an invariant was violated, 2 wrong flags or input.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <molink/sim.h>

#include "common/flag_sources.h"
#include "simulate/compare_command.h"
#include "simulate/study_command.h"

#ifdef MOLINK_CANARY
#include "base/canary.h"
#endif

namespace molink::examples {
namespace {

/// The default beside every other built-in scheduler.
const std::vector<std::string> kCompared{"adaptive", "single", "depth", "molink-paper"};

struct SimulateFlags {
    std::string scenario_file;
    std::uint64_t seed = 0;
    std::uint64_t seeds = 0;
    std::uint64_t first = 1;
    int threads = 1;
    std::string canary;
    bool quiet = false;
};

void print_counts(const SimCounts& counts) {
    const auto row = [](const char* name, std::uint64_t count) {
        fmt::print("{:<22}{:>14}\n", name, count);
    };
    row("requests", counts.requests);
    row("completions", counts.completions);
    row("tokens", counts.tokens);
    row("parts", counts.parts);
    row("frames", counts.frames);
    row("frames out of order", counts.frames_late);
    row("frames received twice", counts.frames_twice);
    row("bytes sent again", counts.resent_bytes);
    row("refused", counts.refused);
    row("failed", counts.failed);
    row("at a row without numbers", counts.row_faults);
    row("cancelled", counts.cancelled);
    row("cancelled in flight", counts.cancelled_in_flight);
    row("preemptions", counts.preemptions);
    row("prefix hits", counts.prefix_hits);
    row("drafts", counts.drafts);
    row("stop strings", counts.stop_strings);
    row("epoch changes", counts.epoch_changes);
    for (std::size_t i = 0; i < kSimFaultKinds; ++i) {
        const std::string name(sim_fault_name(static_cast<SimFaultKind>(i)));
        row(name.c_str(), counts.faults[i]);
    }
}

std::string repeat_line(const SimulateFlags& flags, std::uint64_t seed) {
    std::string line =
        fmt::format("molink-simulate{} --seed {}", flags.canary.empty() ? "" : "-canary", seed);
    if (!flags.canary.empty()) line += " --canary " + flags.canary;
    return line;
}

void print_scenario(const SimScenario& scenario) {
    fmt::print("{} machines, {} layers, local stage {}, {} requests, scheduler {}, transmit {}\n",
               scenario.nodes.size(), scenario.layers, scenario.local_stage ? "yes" : "no",
               scenario.workload.requests, scenario.scheduler, scenario.transmit);
    if (!scenario.order.empty()) fmt::print("order {}\n", fmt::join(scenario.order, ", "));
    if (scenario.drafts > 0)
        fmt::print("drafts on {:.0f} % of decode runs\n", 100 * scenario.drafts);
    for (const SimFault& fault : scenario.faults) {
        fmt::print("fault: {:<8} at {:>10.6f} s for {:>9.6f} s  {} {}\n",
                   sim_fault_name(fault.kind), static_cast<double>(fault.at_us) / 1e6,
                   static_cast<double>(fault.duration_us) / 1e6, fault.node, fault.other);
    }
}

int run_scenario(const SimScenario& scenario, const std::string& repeat) {
    print_scenario(scenario);
    const auto report = simulate(scenario);
    if (!report) {
        fmt::print(stderr, "molink-simulate: {}\n", report.error().message());
        return 2;
    }
    print_counts(report->counts);
    fmt::print("{:<22}{:>14.3f}\n", "virtual seconds", static_cast<double>(report->end_us) / 1e6);
    fmt::print("{:<22}{:>14x}\n", "digest", report->digest);
    if (report->failure.empty()) return 0;
    fmt::print(stderr, "failed: {}\nrepeat: {}\n", report->failure, repeat);
    return 1;
}

/// Runs the seeds of a swarm on several threads. Stops at the first failure.
class Swarm {
public:
    explicit Swarm(const SimulateFlags& flags) : flags_(flags), next_(flags.first) {}

    int run() {
        const auto begin = std::chrono::steady_clock::now();
        std::vector<std::thread> threads;
        for (int i = 0; i < flags_.threads; ++i) threads.emplace_back([this] { work(); });
        for (std::thread& thread : threads) thread.join();
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        if (!flags_.quiet) {
            print_counts(counts_);
            fmt::print("{} seeds in {:.1f} s: {:.1f} seeds per second and thread\n", done_, seconds,
                       static_cast<double>(done_) / seconds / flags_.threads);
        }
        if (failure_.empty()) return 0;
        fmt::print(stderr, "failed after {} seeds: {}\nrepeat: {}\n", done_, failure_,
                   repeat_line(flags_, failed_seed_));
        return 1;
    }

private:
    void work() {
        const std::uint64_t end = flags_.first + flags_.seeds;
        while (!stop_) {
            const std::uint64_t seed = next_++;
            if (seed >= end) return;
            const auto report = simulate(swarm_scenario(seed));
            const std::lock_guard lock(mutex_);
            ++done_;
            if (report) counts_ += report->counts;
            const std::string failure = report ? report->failure : report.error().message();
            if (!failure.empty() && (failure_.empty() || seed < failed_seed_)) {
                failure_ = failure;
                failed_seed_ = seed;
                stop_ = true;
            }
            if (!flags_.quiet && done_ % 1000 == 0) {
                fmt::print(stderr, "{} of {} seeds\n", done_, flags_.seeds);
            }
        }
    }

    SimulateFlags flags_;
    std::atomic<std::uint64_t> next_;
    std::atomic<bool> stop_{false};
    std::mutex mutex_;
    SimCounts counts_;
    std::uint64_t done_ = 0;
    std::uint64_t failed_seed_ = 0;
    std::string failure_;
};

int run_file(const SimulateFlags& flags) {
    std::ifstream file(flags.scenario_file, std::ios::binary);
    if (!file) {
        fmt::print(stderr, "molink-simulate: cannot read {}\n", flags.scenario_file);
        return 2;
    }
    std::stringstream text;
    text << file.rdbuf();
    const auto scenario = parse_scenario(text.str());
    if (!scenario) {
        fmt::print(stderr, "molink-simulate: {}\n", scenario.error().message());
        return 2;
    }
    return run_scenario(*scenario, "molink-simulate " + flags.scenario_file);
}

int run(int argc, char** argv) {
    SimulateFlags flags;
    CLI::App app("Runs head and workers in virtual time and checks every invariant.");
    app.add_option("scenario", flags.scenario_file, "Run the scenario of this file (JSON)");
    app.add_option("--seed", flags.seed, "Run one scenario with every option drawn from this seed");
    app.add_option("--swarm", flags.seeds, "Run this number of scenarios, each drawn from a seed");
    app.add_option("--first", flags.first, "First seed of --swarm and --compare")
        ->capture_default_str();
    app.add_option("--threads", flags.threads, "Number of threads of --swarm and --compare")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    StudyCommand study;
    study.add_flags(app);
    CompareCommand compare;
    compare.add_flags(app);
    app.add_flag("--quiet", flags.quiet, "Print only failures");
#ifdef MOLINK_CANARY
    app.add_option("--canary", flags.canary, "Switch on this planted bug");
#endif
    // Without variables: what is printed must be enough to repeat a run.
    add_flag_sources(app, {false, {}, {}});
    if (const auto status = parse_flags(app, argc, argv)) return *status;
#ifdef MOLINK_CANARY
    if (!flags.canary.empty()) {
        const Canary which = canary_by_name(flags.canary);
        if (which == Canary::none) {
            fmt::print(stderr, "molink-simulate: no canary is called '{}'\n", flags.canary);
            return 2;
        }
        set_canary(which);
    }
#endif
    if (study.wanted()) return study.run();
    if (compare.wanted()) {
        const bool given = app.count("--scheduler") > 0;
        return compare.run(given ? study.schedulers() : kCompared, flags.first, flags.threads);
    }
    if (!flags.scenario_file.empty()) return run_file(flags);
    if (flags.seeds > 0) return Swarm(flags).run();
    if (app.count("--seed") > 0) {
        return run_scenario(swarm_scenario(flags.seed), repeat_line(flags, flags.seed));
    }
    fmt::print(
        stderr,
        "molink-simulate: give a scenario file, --seed, --swarm, or --cluster and --workload\n");
    return 2;
}

}  // namespace
}  // namespace molink::examples

int main(int argc, char** argv) {
    return molink::examples::run(argc, argv);
}
