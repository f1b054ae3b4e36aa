#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace molink::bench {

/// Print one line for each measurement.
void print_header();
void print_row(const nlohmann::json& row);

/// Prints the median and the spread of the rounds, one line for each cell.
using Rounds = std::vector<nlohmann::json>;
void print_medians(const std::vector<Rounds>& cells);

/// A cell and its simulation.
struct Compared {
    Rounds real;
    nlohmann::json simulated;
};

/// How far the median of the rounds and the simulator may differ, as a share of the median. A
/// verdict needs kFewestRounds.
constexpr double kTimedTolerance = 0.10;
constexpr double kComputingTolerance = 0.15;
constexpr std::size_t kFewestRounds = 5;

/// Returns as Markdown a table of both, the number of cells in which throughput, TTFT and TPOT are
/// all within the tolerance, and the figures that miss it in the other cells.
std::string comparison_table(const std::vector<Compared>& cells);

/// A policy within this share of the best one counts as equally good, because medians of a few
/// rounds differ by as much.
constexpr double kAsGood = 0.05;

/// Returns as Markdown the policies of each system, link and load (medians of rounds), and in which
/// figures each is as good as the best. If prompts arrive, the gap is that of streams beside them.
std::string policy_table(const std::vector<Rounds>& cells);

/// Returns the median over rounds of the number at `path`, a JSON pointer.
double median_of(const Rounds& rounds, const std::string& path);

}  // namespace molink::bench
