#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace molink::examples {

/// Where flags come from beside the command line.
struct FlagSources {
    bool variables = true;               ///< from MOLINK_* variables, too
    std::vector<std::string> secrets;    ///< names of flags that no file may hold
    std::vector<std::string> key_files;  ///< of flags that a file may only give names of files
};

/// Adds --version, and --config with a file of flags. Each flag that the program has by now may
/// also come from a variable: MOLINK_JOIN_WITHIN for --join-within. The command line goes first,
/// then variables, then the file.
void add_flag_sources(CLI::App& app, const FlagSources& sources = {});

/// Parses the flags. Returns the exit status with which the program ends now: 0 after --help or
/// --version, 2 for wrong flags, which are told on standard error.
std::optional<int> parse_flags(CLI::App& app, int argc, const char* const* argv);

}  // namespace molink::examples
