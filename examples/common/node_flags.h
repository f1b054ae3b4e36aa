#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include <molink/options.h>
#include <molink/status.h>

namespace molink::examples {

/// Flags that head and workers share, as the user typed them.
struct NodeFlags {
    std::string model;
    std::string name;
    std::string listen = "tcp://127.0.0.1:*";
    std::string advertise;
    std::string weights = "native";
    std::string kv = "f32";
    std::string layers;
    std::string transmit = "fair";
    int block_tokens = 16;
    std::string backend = "cpu";
    std::string profile;
    int threads = 0;
    double memory_gib = 0;
    bool insecure = false;
    std::string key;
    bool verbose = false;
};

/// Adds the flags to a program's command line.
void add_node_flags(CLI::App& app, NodeFlags& flags);

/// Converts flags to options. Errors: invalid_argument with the flag, its value and the permitted
/// values.
Status apply_node_flags(const NodeFlags& flags, NodeOptions& options);

/// Parses "f32" or "f16", and with `wire` also "bf16" or "int8".
Result<DataType> parse_type(const std::string& flag, const std::string& value, bool wire);

}  // namespace molink::examples
