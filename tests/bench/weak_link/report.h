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

/// The table of both, and in how many cells throughput, TTFT and TPOT are all near enough: within
/// 10 % for timed stages, within the larger of 15 % and twice the spread between rounds for those
/// that compute. As Markdown.
std::string comparison_table(const std::vector<Compared>& cells);

/// The median of a number of the rounds; `path` as a JSON pointer.
double median_of(const Rounds& rounds, const std::string& path);

}  // namespace molink::bench
