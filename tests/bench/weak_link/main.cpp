// weak_link measures what schedulers and transmit policies reach over slow, distant links. It runs
// real processes over its own relay. Stages take the times of a profile, or compute. It prints one
// line for each cell with the two limits; --json writes a file from which a later run continues,
// and
// --simulate adds the simulator's figures.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "bench_machine.h"
#include "experiment.h"
#include "flags.h"
#include "report.h"

namespace molink::bench {
namespace {

using Json = nlohmann::json;

/// The file of measurements, one JSON object per line: cells by key, and devices by model.
class Journal {
public:
    Journal(const std::string& path, Bench& bench) : path_(path) {
        std::ifstream file(path);
        for (std::string line; std::getline(file, line);) {
            Json row = Json::parse(line, nullptr, false);
            if (!row.is_object()) continue;
            if (row.contains("key")) {
                const std::string key = row["key"];
                rows_[key] = std::move(row);
            } else if (row.value("cpu", "") == cpu_model()) {
                bench.devices.update(row.value("devices", Json::object()));
            }
        }
    }
    const Json* find(const std::string& key) const {
        const auto found = rows_.find(key);
        return found == rows_.end() ? nullptr : &found->second;
    }
    const Json& add(const std::string& key, Json row) {
        append(row);
        return rows_[key] = std::move(row);
    }
    void append(const Json& line) const {
        if (!path_.empty()) std::ofstream(path_, std::ios::app) << line.dump() << "\n";
    }

private:
    std::string path_;
    std::map<std::string, Json> rows_;
};

/// The rounds of a cell.
struct Group {
    Cell cell;
    Rounds rounds;
};

Rounds& rounds_of(std::vector<Group>& groups, const Cell& cell) {
    for (Group& group : groups) {
        if (group.cell.group() == cell.group()) return group.rounds;
    }
    groups.push_back({cell, {}});
    return groups.back().rounds;
}

/// Runs the cells that the journal lacks. Returns how many failed.
int run_cells(const std::vector<Cell>& cells, Bench& bench, Journal& journal,
              std::vector<Group>& groups) {
    int failed = 0;
    for (const Cell& cell : cells) {
        try {
            const Json* row = journal.find(cell.key());
            if (prepare(bench, cell)) {
                journal.append({{"cpu", cpu_model()}, {"devices", bench.devices}});
            }
            if (row == nullptr) row = &journal.add(cell.key(), run_cell(bench, cell));
            print_row(*row);
            rounds_of(groups, cell).push_back(*row);
        } catch (const std::exception& error) {
            fmt::print(stderr, "{}: {}\n", cell.key(), error.what());
            ++failed;
        }
    }
    return failed;
}

void write_markdown(const Flags& flags, const Bench& bench, const std::string& table) {
    const std::string rounds =
        flags.rounds == 1 ? "One round" : fmt::format("Medians of {} rounds", flags.rounds);
    std::ofstream(flags.markdown) << fmt::format(
        "# The simulator beside real processes\n\n{} on {}, {} cores; made by\n\n    weak_link "
        "{}\n\n{}",
        rounds, cpu_model(), bench.cores, flags.command, table);
}

int compare(const std::vector<Group>& groups, const Bench& bench, const Flags& flags,
            const Journal& journal) {
    int failed = 0;
    std::vector<Compared> compared;
    for (const Group& group : groups) {
        try {
            const double begin = median_of(group.rounds, "/begin_s");
            Json simulated = simulate_row(bench, group.cell, group.rounds.front(), begin);
            journal.append(simulated);
            compared.push_back({group.rounds, std::move(simulated)});
        } catch (const std::exception& error) {
            fmt::print(stderr, "{}, simulated: {}\n", group.cell.group(), error.what());
            ++failed;
        }
    }
    const std::string table = comparison_table(compared);
    fmt::print("\n{}", table);
    if (!flags.markdown.empty()) write_markdown(flags, bench, table);
    return failed;
}

int run(const Flags& flags) {
    const std::vector<Cell> cells = cells_of(flags);
    Bench bench;
    bench.models = flags.models;
    bench.seconds = flags.seconds;
    bench.cores = flags.cores > 0
                      ? flags.cores
                      : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    Journal journal(flags.json, bench);
    fmt::print("{} cells on {}, {} cores\n", cells.size(), cpu_model(), bench.cores);
    print_header();
    std::vector<Group> groups;
    int failed = run_cells(cells, bench, journal, groups);
    std::vector<Rounds> all;
    for (const Group& group : groups) all.push_back(group.rounds);
    if (flags.rounds > 1) print_medians(all);
    if (!flags.policy_table.empty()) std::ofstream(flags.policy_table) << policy_table(all);
    if (flags.simulate) failed += compare(groups, bench, flags, journal);
    return failed == 0 ? 0 : 1;
}

int main_of(int argc, char** argv) {
    Flags flags;
    const int ended = parse_flags(argc, argv, flags);
    if (ended >= 0) return ended;
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
