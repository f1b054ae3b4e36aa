#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace molink::bench {

/// One line for each measurement.
void print_header();
void print_row(const nlohmann::json& row);

/// Median and spread of a cell's rounds, one line for each cell.
using Rounds = std::vector<nlohmann::json>;
void print_medians(const std::vector<Rounds>& cells);

/// A cell beside what the simulator says of it.
struct Compared {
    Rounds real;
    nlohmann::json simulated;
};

/// How far medians of rounds and the simulator may be apart. A verdict needs that many rounds.
constexpr double kTimedTolerance = 0.10;
constexpr double kComputingTolerance = 0.15;
constexpr std::size_t kFewestRounds = 5;

/// The table of both, in how many cells throughput, TTFT and TPOT are all within the tolerance, and
/// which cells miss it by what. As Markdown.
std::string comparison_table(const std::vector<Compared>& cells);

/// What is called as good as the best policy: medians of a few rounds differ by as much.
constexpr double kAsGood = 0.05;

/// The policies of each system, link and load beside each other, and what each is as good as the
/// best in. Medians of rounds; the gap is that of streams beside prompts where prompts arrive. As
/// Markdown.
std::string policy_table(const std::vector<Rounds>& cells);

/// The median of a number of the rounds; `path` as a JSON pointer.
double median_of(const Rounds& rounds, const std::string& path);

}  // namespace molink::bench
