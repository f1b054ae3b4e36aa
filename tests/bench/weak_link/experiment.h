#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "cell.h"

namespace molink::bench {

/// Where models lie, and what this machine is.
struct Bench {
    std::string models;  ///< folder for random weights
    int cores = 1;       ///< that stages which compute share
    double seconds = 30;
    /// Measured devices by the shape of their model, for this machine.
    nlohmann::json devices = nlohmann::json::object();
};

/// Measures what one thread takes for the cell's stages, unless the bench knows it or they are
/// timed; true: it was measured. Throws std::runtime_error.
bool prepare(Bench& bench, const Cell& cell);

/// Runs a cell that was prepared for: the row of the file. Throws std::runtime_error.
nlohmann::json run_cell(const Bench& bench, const Cell& cell);

/// What the simulator says of a row's cell. `begin`: of the measurement, see SimulatedCell.
nlohmann::json simulate_row(const Bench& bench, const Cell& cell, const nlohmann::json& row,
                            double begin);

}  // namespace molink::bench
