#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace molink::examples {

/// `molink-simulate --compare N`: draws studies from seeds and runs each with every scheduler.
/// Shows how the first scheduler compares with the best of the others, and its worst cases.
class CompareCommand {
public:
    void add_flags(CLI::App& app);
    bool wanted() const { return seeds_ > 0; }
    /// Returns the exit status: 0 success, 1 a study failed or is below the required share, 2 wrong
    /// flags.
    int run(const std::vector<std::string>& schedulers, std::uint64_t first, int threads) const;

private:
    std::uint64_t seeds_ = 0;
    double at_least_ = 0;
    std::size_t worst_ = 10;
};

}  // namespace molink::examples
