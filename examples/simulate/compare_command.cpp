// Compares schedulers over studies that are drawn from seeds. It computes the output tokens per
// second of the first scheduler as a share of the best of the others. Threads share the seeds. Rows
// are printed by share, so the table does not depend on the number of threads.
#include "simulate/compare_command.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <molink/study.h>

#include "simulate/scheduler_file.h"

namespace molink::examples {
namespace {

struct Compared {
    std::uint64_t seed = 0;
    StudyCase study;
    std::vector<StudyReport> reports;  // [schedulers]
    std::string failure;
    std::size_t best = 0;  // of the others
    double share = 0;
};

Compared compare(std::uint64_t seed, const std::vector<std::string>& schedulers,
                 const SchedulerFiles& files) {
    Compared result;
    result.seed = seed;
    result.study = swarm_study(seed);
    for (const std::string& name : schedulers) {
        SimPolicies policies;
        const auto file = files.find(name);
        if (file == files.end()) {
            result.study.options.scheduler = name;
        } else {
            policies.scheduler = file->second;
        }
        auto report =
            run_study(result.study.cluster, result.study.workload, result.study.options, policies);
        result.failure = report ? report->failure : report.error().message();
        if (!result.failure.empty()) {
            result.failure = fmt::format("seed {}, {}: {}", seed, name, result.failure);
            return result;
        }
        result.reports.push_back(std::move(*report));
    }
    const auto rate = [&](std::size_t i) { return result.reports[i].output_tokens_per_s; };
    result.best = 1;
    for (std::size_t i = 2; i < result.reports.size(); ++i) {
        if (rate(i) > rate(result.best)) result.best = i;
    }
    result.share = rate(0) / rate(result.best);
    return result;
}

std::string load_text(const StudyWorkload& load) {
    const std::string arrivals =
        load.poisson_per_s > 0 ? fmt::format("poisson {:.3g}/s", load.poisson_per_s)
        : load.streams > 0     ? fmt::format("{} streams", load.streams)
        : load.burst >= load.count
            ? std::string("burst")
            : fmt::format("bursts of {} every {:.3g} s", load.burst, load.burst_every_s);
    const auto mean = [](const TokenQuantiles& quantiles) {
        double sum = quantiles.size() == 1 ? quantiles.front().second : 0;
        for (std::size_t i = 1; i < quantiles.size(); ++i) {
            sum += (quantiles[i].first - quantiles[i - 1].first) *
                   (quantiles[i].second + quantiles[i - 1].second) / 2;
        }
        return sum;
    };
    return fmt::format("{} x {:.0f}+{:.0f} {}", load.count, mean(load.prompt), mean(load.output),
                       arrivals);
}

std::string cluster_text(const Compared& compared) {
    const StudyCluster& cluster = compared.study.cluster;
    std::map<std::string, int> devices;
    for (const StudyNode& node : cluster.nodes) ++devices[node.device.name];
    std::string text;
    for (const auto& [name, count] : devices) {
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
    }
    text += fmt::format("; {} stages", compared.reports.front().stages.size());
    if (!cluster.head_stage) text += ", head apart";
    if (!cluster.hosts.empty()) text += fmt::format(", {} shared cores", cluster.hosts[0].cores);
    return text +
           fmt::format("; {} {}", compared.study.options.model, compared.study.options.weights);
}

void print_case(const Compared& compared, const std::vector<std::string>& schedulers) {
    fmt::print("{:>6.1f}%  seed {:<6} {}; {:.0f} Mbit/s {:.3g} ms; {}\n", 100 * compared.share,
               compared.seed, cluster_text(compared),
               compared.study.cluster.link.bytes_per_s * 8e-6,
               static_cast<double>(compared.study.cluster.link.delay_us) * 1e-3,
               load_text(compared.study.workload));
    for (std::size_t i = 0; i < schedulers.size(); ++i) {
        const StudyReport& report = compared.reports[i];
        fmt::print(
            "           {:<13}{:>9.1f} tokens/s  TTFT p50 {:>9.1f}  p99 {:>9.1f} ms  "
            "gap p50 {:>8.1f}  p99 {:>8.1f} ms\n",
            schedulers[i], report.output_tokens_per_s, report.ttft.p50_us * 1e-3,
            report.ttft.p99_us * 1e-3, report.gap.p50_us * 1e-3, report.gap.p99_us * 1e-3);
    }
}

void print_summary(const std::vector<Compared>& all, const std::vector<std::string>& schedulers) {
    const auto median = [&](auto value) {
        std::vector<double> values;
        for (const Compared& one : all) values.push_back(value(one));
        std::nth_element(values.begin(), values.begin() + std::ssize(values) / 2, values.end());
        return values[values.size() / 2];
    };
    const auto below = [&](double share) {
        return std::count_if(all.begin(), all.end(),
                             [&](const Compared& one) { return one.share < share; });
    };
    fmt::print(
        "\n{} compared with the best of {}, output tokens/s in {} studies: lowest {:.1f} %, "
        "median {:.1f} %; below 95 %: {}, below 100 %: {}\n",
        schedulers.front(), fmt::join(schedulers.begin() + 1, schedulers.end(), ", "), all.size(),
        100 * all.front().share, 100 * median([](const Compared& one) { return one.share; }),
        below(0.95), below(1));
    for (std::size_t i = 1; i < schedulers.size(); ++i) {
        const auto ratio = [&](auto value) {
            return median([&](const Compared& one) {
                const double other = value(one.reports[i]);
                return other > 0 ? value(one.reports[0]) / other : 1;
            });
        };
        fmt::print(
            "compared with {}, medians: tokens/s {:.2f}, TTFT p50 {:.2f}, p99 {:.2f}, gap p50 "
            "{:.2f}, p99 {:.2f}\n",
            schedulers[i],
            ratio([](const StudyReport& report) { return report.output_tokens_per_s; }),
            ratio([](const StudyReport& report) { return report.ttft.p50_us; }),
            ratio([](const StudyReport& report) { return report.ttft.p99_us; }),
            ratio([](const StudyReport& report) { return report.gap.p50_us; }),
            ratio([](const StudyReport& report) { return report.gap.p99_us; }));
    }
}

}  // namespace

void CompareCommand::add_flags(CLI::App& app) {
    app.add_option(
        "--compare", seeds_,
        "Run this number of studies, drawn from seeds: the first --scheduler against the others");
    app.add_option("--at-least", at_least_,
                   "Compare: fail if the share of the best is below this in a study")
        ->check(CLI::Range(0.0, 10.0));
    app.add_option("--worst", worst_, "Compare: number of studies to print, worst first")
        ->capture_default_str();
}

int CompareCommand::run(const std::vector<std::string>& schedulers, std::uint64_t first,
                        int threads) const {
    if (schedulers.size() < 2) {
        fmt::print(stderr, "molink-simulate: --compare needs at least two schedulers\n");
        return 2;
    }
    const auto files = load_scheduler_files(schedulers);
    if (!files) {
        fmt::print(stderr, "molink-simulate: {}\n", files.error().message());
        return 2;
    }
    std::atomic<std::uint64_t> next{first};
    std::mutex mutex;
    std::vector<Compared> all;
    std::string failure;
    const auto work = [&] {
        for (std::uint64_t seed = next++; seed < first + seeds_; seed = next++) {
            Compared compared = compare(seed, schedulers, *files);
            const std::lock_guard lock(mutex);
            if (!compared.failure.empty()) {
                failure += compared.failure + "\n";
            } else {
                all.push_back(std::move(compared));
            }
        }
    };
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i) workers.emplace_back(work);
    for (std::thread& worker : workers) worker.join();
    std::sort(all.begin(), all.end(), [](const Compared& a, const Compared& b) {
        return a.share < b.share || (a.share == b.share && a.seed < b.seed);
    });
    for (std::size_t i = 0; i < std::min(worst_, all.size()); ++i) print_case(all[i], schedulers);
    if (!all.empty()) print_summary(all, schedulers);
    if (!failure.empty()) {
        fmt::print(stderr, "failed: {}", failure);
        return 1;
    }
    return all.empty() || all.front().share >= at_least_ ? 0 : 1;
}

}  // namespace molink::examples
