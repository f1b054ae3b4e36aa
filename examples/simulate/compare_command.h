#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace molink::examples {

/// `molink-simulate --compare N`: studies drawn from seeds, each under every scheduler. Says how
/// the first scheduler does beside the best of the others, and where it does worst.
class CompareCommand {
public:
    void add_flags(CLI::App& app);
    bool wanted() const { return seeds_ > 0; }
    /// The exit status: 0, 1 a study failed or is below the share asked for, 2 wrong flags.
    int run(const std::vector<std::string>& schedulers, std::uint64_t first, int threads) const;

private:
    std::uint64_t seeds_ = 0;
    double at_least_ = 0;
    std::size_t worst_ = 10;
};

}  // namespace molink::examples
