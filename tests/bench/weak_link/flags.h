#pragma once

#include <string>
#include <vector>

#include "cell.h"

namespace molink::bench {

struct Flags {
    std::vector<std::string> systems;
    std::vector<std::string> links;
    std::vector<std::string> workloads;
    std::vector<std::string> schedulers{"single", "depth", "molink-paper", "adaptive"};
    std::vector<std::string> transmits{"fifo", "strict", "fair"};
    std::vector<std::string> keys{"off"};
    std::vector<std::string> pairs;  ///< "adaptive+fair"; not empty: replaces all combinations
    std::vector<std::int32_t> step_tokens{2048};
    std::string wire;
    int nodes = 0;
    int rounds = 1;
    int cores = 0;  ///< 0: as many as the machine has
    double seconds = 30;
    bool quick = false;
    bool no_local_stage = false;
    bool no_direct_feedback = false;
    bool simulate = false;
    std::string markdown;
    std::string policy_table;
    std::string command;  ///< the flags as given
    std::string json;
    std::string models = "weak_link_models";
};

/// Returns -1, or the status with which the program has to exit.
int parse_flags(int argc, char** argv, Flags& flags);

/// Returns all cells to measure, round by round. Throws std::runtime_error for an unknown name.
std::vector<Cell> cells_of(const Flags& flags);

}  // namespace molink::bench
