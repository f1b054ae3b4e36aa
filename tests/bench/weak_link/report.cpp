// Tables. A cell's line has everything that the goals speak of; medians are for reading, the
// comparison is for the repository.
#include "report.h"

#include <algorithm>
#include <cstdio>

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

/// Largest minus smallest, of the median.
double spread_of(const Rounds& rounds, const std::string& path) {
    const std::vector<double> values = values_of(rounds, path);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double middle = median(values);
    return middle > 0 ? (*high - *low) / middle : 0;
}

std::string text_of(const Json& row, const char* key) {
    return row.at(key).get<std::string>();
}

/// "12/15/40/41": p50, p90, p99 and the largest, ms.
std::string four(const Json& spread) {
    return fmt::format("{:.0f}/{:.0f}/{:.0f}/{:.0f}", spread.at("p50").get<double>(),
                       spread.at("p90").get<double>(), spread.at("p99").get<double>(),
                       spread.at("max").get<double>());
}

/// "123 93%": a limit and the share reached; "-" where there is none.
std::string limit_of(double limit, double share) {
    return limit > 0 ? fmt::format("{:.0f} {:.0f}%", limit, 100 * share) : "-";
}

std::string policy_of(const Json& row) {
    const int step = row.at("step_tokens").get<int>();
    return fmt::format("{}+{}{}", text_of(row, "scheduler"), text_of(row, "transmit"),
                       step > 0 ? fmt::format("/{}", step) : "");
}

std::string system_of(const Json& row) {
    std::string text = fmt::format("{}x{}", text_of(row, "system"), row.at("nodes").get<int>());
    if (!row.at("local_stage").get<bool>()) {
        text += row.at("direct_feedback").get<bool>() ? " apart" : " apart, by head";
    }
    return text;
}

struct Figure {
    const char* path;
    bool near;
    double real;
    double simulated;

    double difference() const { return real > 0 ? simulated / real - 1 : 0; }
};

/// Throughput, TTFT and TPOT.
std::vector<Figure> figures_of(const Compared& cell) {
    std::vector<Figure> figures;
    const bool computes = cell.real.front().at("cores").get<int>() > 0;
    for (const char* path : {"/tokens_per_s", "/ttft_ms/p50", "/tpot_ms"}) {
        Figure figure{path, false, median_of(cell.real, path),
                      cell.simulated.at(Json::json_pointer(path)).get<double>()};
        const double most = computes ? std::max(0.15, 2 * spread_of(cell.real, path)) : 0.1;
        figure.near = std::abs(figure.difference()) <= most;
        figures.push_back(figure);
    }
    return figures;
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
        "diff | TPOT ms | sim | diff | near |\n"
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n";
    std::size_t near[2] = {};
    std::size_t all[2] = {};
    for (const Compared& cell : cells) {
        const Json& row = cell.real.front();
        table += fmt::format("| {} | {} | {} | {} | {} |", system_of(row), text_of(row, "link"),
                             text_of(row, "workload"), policy_of(row), cell.real.size());
        bool every = true;
        for (const Figure& figure : figures_of(cell)) {
            every = every && figure.near;
            table += fmt::format(" {:.1f} | {:.1f} | {:+.1f} % |", figure.real, figure.simulated,
                                 100 * figure.difference());
        }
        table += every ? " yes |\n" : " no |\n";
        const std::size_t kind = row.at("cores").get<int>() > 0 ? 1 : 0;
        ++all[kind];
        near[kind] += every ? 1 : 0;
    }
    if (all[0] > 0) {
        table += fmt::format("\nTimed stages: all three within 10 % in {} of {} cells.\n", near[0],
                             all[0]);
    }
    if (all[1] > 0) {
        table += fmt::format(
            "\nStages that compute: all three within the larger of 15 % and twice the spread "
            "between rounds in {} of {} cells.\n",
            near[1], all[1]);
    }
    return table;
}

}  // namespace molink::bench
