#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "cell.h"

namespace molink::bench {

/// Where the models are, and what is known of this machine.
struct Bench {
    std::string models;   ///< folder for random weights
    int cores = 1;        ///< that computing stages share
    double seconds = 30;  ///< of the measurement of a mixed load
    /// Measured service times of this machine, by the shape of the model.
    nlohmann::json devices = nlohmann::json::object();
};

/// Measures the service times of the cell's stages on one thread, unless the bench knows them or
/// the stages are timed. Returns true when it measured. Throws std::runtime_error.
bool prepare(Bench& bench, const Cell& cell);

/// Runs a cell after prepare(). Returns its row of the file. Throws std::runtime_error.
nlohmann::json run_cell(const Bench& bench, const Cell& cell);

/// Simulates a cell that `row` describes. `begin`: of the measurement, see SimulatedCell. Throws
/// std::runtime_error.
nlohmann::json simulate_row(const Bench& bench, const Cell& cell, const nlohmann::json& row,
                            double begin);

}  // namespace molink::bench
