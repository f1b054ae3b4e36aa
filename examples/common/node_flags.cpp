// Command line flags that all nodes share. They are in one place, so that a flag means the same in
// every program.
#include "common/node_flags.h"

#include <charconv>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace molink::examples {
namespace {

Status bad(const std::string& text) {
    return Status(StatusCode::invalid_argument, text);
}

Result<LayerRange> parse_layers(const std::string& text) {
    LayerRange range;
    const char* end = text.data() + text.size();
    auto first = std::from_chars(text.data(), end, range.begin);
    if (first.ec == std::errc() && first.ptr != end && *first.ptr == '-') {
        auto last = std::from_chars(first.ptr + 1, end, range.end);
        if (last.ec == std::errc() && last.ptr == end && range.begin >= 0 &&
            range.end >= range.begin && range.end < 100000) {
            ++range.end;
            return range;
        }
    }
    return bad(fmt::format("--layers is '{}'; give the first and the last layer, as 0-7", text));
}

}  // namespace

void add_node_flags(CLI::App& app, NodeFlags& flags) {
    app.add_option("--model", flags.model,
                   "folder of the model in Hugging Face format; each node has its own copy");
    app.add_option("--name", flags.name, "name of this node in tables and logs");
    app.add_option("--listen", flags.listen,
                   "address at which this node listens: tcp://HOST:PORT, ipc://PATH; the host may "
                   "be a name, an interface, *, or [IPV6]; port *: any free port")
        ->capture_default_str();
    app.add_option("--advertise", flags.advertise,
                   "address that others connect to, for example a relay (default: --listen)");
    app.add_option(
           "--weights", flags.weights,
           "format of weights: native (as stored) or q8_0 (quantised to 8 bits while loading)")
        ->capture_default_str();
    app.add_option("--kv", flags.kv, "type of the KV cache: f32 or f16")->capture_default_str();
    app.add_option("--transmit", flags.transmit,
                   "policy that picks the next message of a link: fair, strict or fifo")
        ->capture_default_str();
    app.add_option("--block-tokens", flags.block_tokens, "positions per KV block, a multiple of 16")
        ->capture_default_str();
    app.add_option("--layers", flags.layers,
                   "hold layers A-B, including both (default: automatic); only with one device");
    app.add_option(
           "--backend", flags.backend,
           "devices that each hold a stage: cpu, or a list such as a:0,a:1 or a:all; with timed, "
           "stages take the times of --profile and compute nothing")
        ->capture_default_str();
    app.add_option("--profile", flags.profile, "service times of --backend timed (JSON)");
    app.add_option("--threads", flags.threads,
                   "number of compute threads of each device; 0: one per core, within the CPU "
                   "quota of the control group")
        ->capture_default_str();
    app.add_option(
        "--memory-gib", flags.memory_gib,
        "memory of each device for weights and KV cache (default: 0.8 of what the machine or its "
        "control group has left, divided among the devices that share it)");
    app.add_option("--key", flags.key,
                   "key pair of this node, a file that `molink-key new` wrote; traffic between "
                   "nodes is then encrypted");
    app.add_flag("--insecure", flags.insecure,
                 "permit addresses that are not loopback without keys; traffic is not encrypted");
    app.add_flag("--verbose", flags.verbose, "write informational log lines, too");
}

/// Reads a JSON object of numbers whose names are those of TimedProfile.
Result<TimedProfile> read_profile(const std::string& path) {
    std::ifstream file(path);
    const auto json = nlohmann::json::parse(file, nullptr, false);
    if (!json.is_object()) {
        return bad(fmt::format("--profile {}: cannot be read, or is not a JSON object", path));
    }
    TimedProfile profile;
    const std::map<std::string, double*> fields{
        {"decode_layer_us", &profile.decode_layer_us},
        {"decode_row_layer_us", &profile.decode_row_layer_us},
        {"prefill_layer_us", &profile.prefill_layer_us},
        {"prefill_row_layer_us", &profile.prefill_row_layer_us},
        {"lm_head_us", &profile.lm_head_us},
        {"lm_head_row_us", &profile.lm_head_row_us},
    };
    for (const auto& [key, value] : json.items()) {
        const auto field = fields.find(key);
        if (key == "about") continue;  // a note on the origin of the numbers
        if (field == fields.end() || !value.is_number()) {
            return bad(
                fmt::format("--profile {}: '{}' is not a known name or not a number", path, key));
        }
        *field->second = value.get<double>();
    }
    return profile;
}

Result<DataType> parse_type(const std::string& flag, const std::string& value, bool wire) {
    if (value == "f32") return DataType::f32;
    if (value == "f16") return DataType::f16;
    if (value == "bf16" && wire) return DataType::bf16;
    if (value == "int8" && wire) return DataType::int8;
    return bad(fmt::format("{} is '{}'; {} are permitted", flag, value,
                           wire ? "f32, f16, bf16 and int8" : "f32 and f16"));
}

Status apply_node_flags(const NodeFlags& flags, NodeOptions& options) {
    if (flags.model.empty()) return bad("--model is missing; give the folder of the model");
    options.model_dir = flags.model;
    options.name = flags.name;
    options.listen = flags.listen;
    options.advertise = flags.advertise;
    options.insecure = flags.insecure;
    options.security.key_file = flags.key;
    if (flags.weights == "q8_0") {
        options.weights = WeightFormat::q8_0;
    } else if (flags.weights != "native") {
        return bad(fmt::format("--weights is '{}'; native and q8_0 are permitted", flags.weights));
    }
    auto kv = parse_type("--kv", flags.kv, false);
    if (!kv) return kv.error();
    options.kv_type = *kv;
    options.block_tokens = flags.block_tokens;
    options.threads = flags.threads;
    if (!(flags.memory_gib >= 0 && flags.memory_gib <= 1e6)) {
        return bad(fmt::format("--memory-gib is {}; 0 to 1000000 are permitted", flags.memory_gib));
    }
    options.memory_bytes = static_cast<std::int64_t>(flags.memory_gib * (1 << 30));
    const Status transmit = make_transmit_policy(flags.transmit).status();
    if (!transmit.ok()) return transmit.with_context("--transmit");
    options.transmit = [name = flags.transmit] { return std::move(*make_transmit_policy(name)); };
    options.backend = flags.backend;
    if (flags.profile.empty() == flags.backend.starts_with("timed")) {
        return bad("--backend timed needs --profile, and --profile needs --backend timed");
    }
    if (!flags.profile.empty()) {
        auto profile = read_profile(flags.profile);
        if (!profile) return profile.error();
        options.timed = *profile;
    }
    if (flags.layers.empty()) return {};
    auto layers = parse_layers(flags.layers);
    if (!layers) return layers.error();
    options.layers = *layers;
    return {};
}

}  // namespace molink::examples
