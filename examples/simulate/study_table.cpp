// The table of studies: a row for each combination of policies, and under it what else must be
// known to read it. Quantiles are those of each run; what is shown for several runs is their mean.
#include "simulate/study_table.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace molink::examples {
namespace {

/// What is shown of a run, by column.
struct StudyColumn {
    const char* title;
    const char* format;
    double (*value)(const StudyReport& report);
};

template <typename Use>
double busiest(const std::vector<Use>& uses) {
    double busy = 0;
    for (const Use& use : uses) busy = std::max(busy, use.busy);
    return busy;
}

using Report = StudyReport;
constexpr StudyColumn kColumns[] = {
    {" tokens/s", "{:>9.1f}", [](const Report& report) { return report.output_tokens_per_s; }},
    {" TTFT p50", "{:>9.0f}", [](const Report& report) { return report.ttft.p50_us * 1e-3; }},
    {"   p99 ms", "{:>9.0f}", [](const Report& report) { return report.ttft.p99_us * 1e-3; }},
    {" TPOT p50", "{:>9.1f}", [](const Report& report) { return report.tpot.p50_us * 1e-3; }},
    {"   p99 ms", "{:>9.1f}", [](const Report& report) { return report.tpot.p99_us * 1e-3; }},
    {"  gap p99", "{:>9.1f}", [](const Report& report) { return report.gap.p99_us * 1e-3; }},
    {"  max ms", "{:>8.0f}", [](const Report& report) { return report.gap.max_us * 1e-3; }},
    {" virt. s", "{:>8.1f}", [](const Report& report) { return report.seconds; }},
    {"  stage", "{:>6.1f}%", [](const Report& report) { return 100 * busiest(report.stages); }},
    {"   link", "{:>6.1f}%", [](const Report& report) { return 100 * busiest(report.links); }},
    {" batches", "{:>8.0f}", [](const Report& report) { return 1.0 * report.max_micro_batches; }},
};
constexpr const char* kNames = "{:>7}{:>6}{:>7} {:<12}{:<8}{:<6}{:<10}";

void print_fallbacks(std::span<const StudyReport> runs) {
    std::uint64_t plans = 0;
    std::uint64_t refused = 0;
    std::uint64_t fallbacks = 0;
    for (const StudyReport& report : runs) {
        plans += report.plans;
        refused += report.plans_refused;
        fallbacks += report.plans_by_fallback;
    }
    if (refused == 0 && fallbacks == 0) return;
    fmt::print("  {} planned {} steps, {} of them refused; the built-in policy planned {}\n",
               runs.front().scheduler, plans, refused, fallbacks);
}

}  // namespace

void print_study_header() {
    fmt::print(fmt::runtime(kNames), "Mbit/s", "ms", "req/s", "scheduler", "transmit", " wire",
               " split");
    for (const StudyColumn& column : kColumns) fmt::print("{}", column.title);
    fmt::print("\n");
}

void print_study_rows(std::span<const StudyReport> runs) {
    const StudyReport& first = runs.front();
    std::vector<MeanInterval> intervals;
    for (const StudyColumn& column : kColumns) {
        std::vector<double> values;
        for (const StudyReport& report : runs) values.push_back(column.value(report));
        intervals.push_back(mean_interval(values));
    }
    const std::string split =
        first.cluster == "static" ? first.partitioner : first.partitioner + "/" + first.cluster;
    fmt::print(fmt::runtime(kNames), fmt::format("{:.0f}", first.link.bytes_per_s * 8e-6),
               fmt::format("{:.1f}", static_cast<double>(first.link.delay_us) * 1e-3),
               fmt::format("{:.2f}", first.poisson_per_s), first.scheduler, first.transmit,
               " " + first.wire, " " + split);
    for (std::size_t i = 0; i < std::size(kColumns); ++i) {
        fmt::print(fmt::runtime(kColumns[i].format), intervals[i].mean);
    }
    fmt::print("\n");
    if (runs.size() > 1) {
        fmt::print(fmt::runtime(kNames), "", "", "", "", "", "",
                   fmt::format(" {} seeds +-", runs.size()));
        for (std::size_t i = 0; i < std::size(kColumns); ++i) {
            fmt::print(fmt::runtime(kColumns[i].format), intervals[i].half);
        }
        fmt::print("\n");
    }
    print_fallbacks(runs);
}

void print_study_details(const StudyReport& report) {
    for (const StageUse& use : report.stages) {
        fmt::print(
            "  stage {:<12} layers {:>3}-{:<3} busy {:>5.1f} %  parts {:>8}  wait {:>9.1f} ms\n",
            use.node, use.layers.begin, use.layers.end - 1, 100 * use.busy, use.parts,
            use.wait_us * 1e-3);
    }
    for (const LinkUse& use : report.links) {
        fmt::print("  link {} > {}: busy {:.1f} %", use.from, use.to, 100 * use.busy);
        for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
            if (use.lane_bytes[lane] == 0) continue;
            fmt::print(", {} {:.1f} MB {:.1f} %", lane_name(static_cast<Lane>(lane)),
                       static_cast<double>(use.lane_bytes[lane]) * 1e-6, 100 * use.lane_busy[lane]);
        }
        fmt::print("\n");
    }
    fmt::print(
        "  parts in flight: decode {:.2f}, prefill {:.2f}; KV blocks {}; preemptions {}; "
        "frames {}; seed {}\n",
        report.decode_parts_in_flight, report.prefill_parts_in_flight, report.kv_blocks,
        report.preemptions, report.frames, report.seed);
}

}  // namespace molink::examples
