// The tables of weak_link. A cell's line has every figure that the goals name. The medians are for
// reading, and the comparison is for the repository.
#include "report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include <fmt/format.h>

#include "bench_machine.h"

namespace molink::bench {
namespace {

using Json = nlohmann::json;

std::vector<double> values_of(const Rounds& rounds, const std::string& path) {
    std::vector<double> values;
    for (const Json& row : rounds) values.push_back(row.at(Json::json_pointer(path)).get<double>());
    return values;
}

/// Returns the largest minus the smallest value, relative to the median.
double spread_of(const Rounds& rounds, const std::string& path) {
    const std::vector<double> values = values_of(rounds, path);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double middle = median(values);
    return middle > 0 ? (*high - *low) / middle : 0;
}

std::string text_of(const Json& row, const char* key) {
    return row.at(key).get<std::string>();
}

/// Returns p50, p90, p99 and the largest value in ms: "12/15/40/41".
std::string four(const Json& spread) {
    return fmt::format("{:.0f}/{:.0f}/{:.0f}/{:.0f}", spread.at("p50").get<double>(),
                       spread.at("p90").get<double>(), spread.at("p99").get<double>(),
                       spread.at("max").get<double>());
}

/// Returns a limit and the share that was reached, "123 93%", or "-" without a limit.
std::string limit_of(double limit, double share) {
    return limit > 0 ? fmt::format("{:.0f} {:.0f}%", limit, 100 * share) : "-";
}

std::string policy_of(const Json& row) {
    const int step = row.at("step_tokens").get<int>();
    return fmt::format("{}+{}{}{}", text_of(row, "scheduler"), text_of(row, "transmit"),
                       step > 0 ? fmt::format("/{}", step) : "",
                       row.value("keys", false) ? " keys" : "");
}

std::string system_of(const Json& row) {
    std::string text = fmt::format("{}x{}", text_of(row, "system"), row.at("nodes").get<int>());
    if (!row.at("local_stage").get<bool>()) {
        text += row.at("direct_feedback").get<bool>() ? " apart" : " apart, by head";
    }
    return text;
}

struct Figure {
    const char* name;
    bool near;
    double real;
    double simulated;

    double difference() const { return real > 0 ? simulated / real - 1 : 0; }
};

bool computes(const Compared& cell) {
    return cell.real.front().at("cores").get<int>() > 0;
}

/// Returns throughput, TTFT and TPOT. The tolerance does not depend on the spread of the rounds.
std::vector<Figure> figures_of(const Compared& cell) {
    struct {
        const char* path;
        const char* name;
    } constexpr kFigures[] = {
        {"/tokens_per_s", "tokens/s"}, {"/ttft_ms/p50", "TTFT"}, {"/tpot_ms", "TPOT"}};
    std::vector<Figure> figures;
    for (const auto& [path, name] : kFigures) {
        Figure figure{name, false, median_of(cell.real, path),
                      cell.simulated.at(Json::json_pointer(path)).get<double>()};
        const double most = computes(cell) ? kComputingTolerance : kTimedTolerance;
        figure.near = std::abs(figure.difference()) <= most;
        figures.push_back(figure);
    }
    return figures;
}

/// Returns the figures that differ by more than the tolerance: "TTFT, TPOT".
std::string missed_by(const Compared& cell) {
    std::string names;
    for (const Figure& figure : figures_of(cell)) {
        if (figure.near) continue;
        names += (names.empty() ? "" : ", ") + std::string(figure.name);
    }
    return names;
}

/// Returns how many cells of one kind are within the tolerance, and which cells miss it.
std::string verdict(const std::vector<Compared>& cells, bool computing) {
    std::size_t all = 0;
    std::size_t near = 0;
    std::size_t few = 0;
    std::string missing;
    for (const Compared& cell : cells) {
        if (computes(cell) != computing) continue;
        ++all;
        if (cell.real.size() < kFewestRounds) ++few;
        const std::string missed = missed_by(cell);
        if (missed.empty()) {
            ++near;
            continue;
        }
        const Json& row = cell.real.front();
        missing += fmt::format("- {}, {}, load {}, {}: {}\n", system_of(row), text_of(row, "link"),
                               text_of(row, "workload"), policy_of(row), missed);
    }
    if (all == 0) return {};
    std::string text =
        fmt::format("\n{}: tokens/s, TTFT and TPOT all three within {:.0f} % in {} of {} cells.\n",
                    computing ? "Stages that compute" : "Timed stages",
                    100 * (computing ? kComputingTolerance : kTimedTolerance), near, all);
    if (few > 0) {
        text += fmt::format(
            "{} of them have fewer than {} rounds, too few for a verdict (--rounds {}).\n", few,
            kFewestRounds, kFewestRounds);
    }
    if (!missing.empty()) text += "Those that miss, and by what:\n\n" + missing;
    return text;
}

}  // namespace

double median_of(const Rounds& rounds, const std::string& path) {
    return median(values_of(rounds, path));
}

void print_header() {
    fmt::print(
        "{:<20}{:<17}{:<12}{:<24}{:>8} {:>11} {:>11}{:>8}{:>14}  "
        "{:<20}{:<20}{:>5}{:>6}{:>4}{:>6}\n",
        "system", "link", "load", "policy", "tok/s", "limit", "limit one", "TPOT", "TTFT50/90",
        "gap50/90/99/max", "beside prefill", "link", "busy", "mb", "prop");
    std::fflush(stdout);
}

void print_row(const Json& row) {
    const Json& ttft = row.at("ttft_ms");
    const double propagation = row.at("propagation").get<double>();
    fmt::print(
        "{:<20}{:<17}{:<12}{:<24}{:>8.1f} {:>11} {:>11}{:>8.1f}{:>14}  {:<20}{:<20}{:>4.0f}%"
        "{:>5.0f}%{:>4}{:>6}\n",
        system_of(row), text_of(row, "link"), text_of(row, "workload"), policy_of(row),
        row.at("tokens_per_s").get<double>(),
        limit_of(row.at("limit").get<double>(), row.at("share").get<double>()),
        limit_of(row.at("limit_one").get<double>(), row.at("share_one").get<double>()),
        row.at("tpot_ms").get<double>(),
        fmt::format("{:.0f}/{:.0f}", ttft.at("p50").get<double>(), ttft.at("p90").get<double>()),
        four(row.at("gap_ms")),
        row.at("prompts").get<int>() > 0 ? four(row.at("gap_beside_prefill_ms")) : std::string("-"),
        100 * row.at("link_use").get<double>(), 100 * row.at("stage_busy").get<double>(),
        row.at("micro_batches").get<int>(),
        propagation > 0 ? fmt::format("{:.2f}", propagation) : "-");
    std::fflush(stdout);
}

void print_medians(const std::vector<Rounds>& cells) {
    fmt::print("\nmedians and spread (largest minus smallest, of the median)\n");
    fmt::print("{:<20}{:<17}{:<12}{:<24}{:>3}{:>15}{:>7}{:>16}{:>16}{:>10}{:>12}\n", "system",
               "link", "load", "policy", "n", "tok/s", "share", "TPOT", "TTFT50", "gap99",
               "beside99");
    for (const Rounds& rounds : cells) {
        const Json& row = rounds.front();
        const auto with_spread = [&](const char* path) {
            return fmt::format("{:.1f} {:.0f}%", median_of(rounds, path),
                               100 * spread_of(rounds, path));
        };
        const double share = median_of(rounds, "/share");
        fmt::print("{:<20}{:<17}{:<12}{:<24}{:>3}{:>15}{:>7}{:>16}{:>16}{:>10.0f}{:>12.0f}\n",
                   system_of(row), text_of(row, "link"), text_of(row, "workload"), policy_of(row),
                   rounds.size(), with_spread("/tokens_per_s"),
                   share > 0 ? fmt::format("{:.0f}%", 100 * share) : "-", with_spread("/tpot_ms"),
                   with_spread("/ttft_ms/p50"), median_of(rounds, "/gap_ms/p99"),
                   median_of(rounds, "/gap_beside_prefill_ms/p99"));
    }
    std::fflush(stdout);
}

std::string comparison_table(const std::vector<Compared>& cells) {
    std::string table =
        "| system | link | load | policy | rounds | tokens/s | sim | diff | TTFT p50 ms | sim | "
        "diff | TPOT ms | sim | diff | misses by |\n"
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n";
    for (const Compared& cell : cells) {
        const Json& row = cell.real.front();
        table += fmt::format("| {} | {} | {} | {} | {} |", system_of(row), text_of(row, "link"),
                             text_of(row, "workload"), policy_of(row), cell.real.size());
        for (const Figure& figure : figures_of(cell)) {
            table += fmt::format(" {:.1f} | {:.1f} | {:+.1f} % |", figure.real, figure.simulated,
                                 100 * figure.difference());
        }
        const std::string missed = missed_by(cell);
        table += fmt::format(" {} |\n", missed.empty() ? "-" : missed);
    }
    table += verdict(cells, false) + verdict(cells, true);
    return table;
}

std::string policy_table(const std::vector<Rounds>& cells) {
    struct Policy {
        const Rounds* rounds;
        double tokens_per_s;
        double ttft_ms;
        double gap_ms;
    };
    std::map<std::string, std::vector<Policy>> tables;
    for (const Rounds& rounds : cells) {
        const Json& row = rounds.front();
        const bool mixed = row.at("prompts").get<int>() > 0;
        tables[fmt::format("{}, {}, load {}", system_of(row), text_of(row, "link"),
                           text_of(row, "workload"))]
            .push_back({&rounds, median_of(rounds, "/tokens_per_s"),
                        median_of(rounds, "/ttft_ms/p50"),
                        median_of(rounds, mixed ? "/gap_beside_prefill_ms/p99" : "/gap_ms/p99")});
    }
    std::string text;
    for (const auto& [name, policies] : tables) {
        Policy best = policies.front();
        for (const Policy& policy : policies) {
            best.tokens_per_s = std::max(best.tokens_per_s, policy.tokens_per_s);
            best.ttft_ms = std::min(best.ttft_ms, policy.ttft_ms);
            best.gap_ms = std::min(best.gap_ms, policy.gap_ms);
        }
        text += fmt::format(
            "{}:\n\n| policies | runs | tokens/s | TTFT p50 ms | gap between tokens p99 ms | as "
            "good "
            "as the best in |\n|---|--:|--:|--:|--:|---|\n",
            name);
        for (const Policy& policy : policies) {
            std::string good;
            const auto note = [&](bool near, const char* what) {
                if (near) good += (good.empty() ? "" : ", ") + std::string(what);
            };
            note(policy.tokens_per_s * (1 + kAsGood) >= best.tokens_per_s, "tokens/s");
            note(policy.ttft_ms <= best.ttft_ms * (1 + kAsGood), "TTFT");
            note(policy.gap_ms <= best.gap_ms * (1 + kAsGood), "gap");
            text += fmt::format("| {} | {} | {:.1f} | {:.0f} | {:.0f} | {} |\n",
                                policy_of(policy.rounds->front()), policy.rounds->size(),
                                policy.tokens_per_s, policy.ttft_ms, policy.gap_ms,
                                good.empty() ? "-" : good);
        }
        text += "\n";
    }
    return text + fmt::format("As good as the best: within {:.0f} % of it.\n", 100 * kAsGood);
}

}  // namespace molink::bench
