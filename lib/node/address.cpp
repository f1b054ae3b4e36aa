// What a node may be told, checked before anything is opened. Without keys nothing is encrypted, so
// an address that another machine could reach is then refused unless the operator says that this is
// meant.
#include "node/address.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/node_address.h"
#include "node/node_security.h"

namespace molink {
namespace {

template <typename T>
Status check_range(std::string_view option, T value, T low, T high) {
    if (value >= low && value <= high) return {};
    return invalid_argument("{} is {}; {} to {} are permitted", option, value, low, high);
}

}  // namespace

Status check_address(std::string_view option, const std::string& address, AddressUse use,
                     const NodeOptions& options) {
    MOLINK_RETURN_IF_ERROR(check_node_address(option, address, use));
    if (options.insecure || has_keys(options.security) || is_local_address(address)) return {};
    return invalid_argument(
        "{} {} can be reached from other machines, and this node has no keys; give it a key file, "
        "use a loopback address, or set insecure if the network between the nodes is trusted",
        option, address);
}

Status check_node_options(const NodeOptions& options) {
    if (options.model_dir.empty()) return invalid_argument("model_dir is empty");
    MOLINK_RETURN_IF_ERROR(check_address("listen", options.listen, AddressUse::listen, options));
    if (!options.advertise.empty()) {
        MOLINK_RETURN_IF_ERROR(
            check_address("advertise", options.advertise, AddressUse::dial, options));
    } else if (is_wildcard_address(options.listen)) {
        return invalid_argument("listen is {}; set advertise to the address that other nodes dial",
                                options.listen);
    }
    if (options.kv_type != DataType::f32 && options.kv_type != DataType::f16) {
        return invalid_argument("kv_type is {}; f32 and f16 are permitted",
                                data_type_name(options.kv_type));
    }
    MOLINK_RETURN_IF_ERROR(check_range("block_tokens", options.block_tokens, 16, 256));
    if (options.block_tokens % 16 != 0) {
        return invalid_argument("block_tokens is {}; it must be a multiple of 16",
                                options.block_tokens);
    }
    MOLINK_RETURN_IF_ERROR(check_range("threads", options.threads, 0, 256));
    if (options.memory_bytes < 0) {
        return invalid_argument("memory_bytes is {}; it must not be negative",
                                options.memory_bytes);
    }
    if (options.layers && (options.layers->begin < 0 || options.layers->empty())) {
        return invalid_argument("layers {}-{} are not a range", options.layers->begin,
                                options.layers->end - 1);
    }
    if (options.name.size() > limits::kMaxNodeNameBytes) {
        return invalid_argument("name has {} bytes; at most {} are permitted", options.name.size(),
                                limits::kMaxNodeNameBytes);
    }
    constexpr std::int64_t kHourUs = 3'600'000'000;
    MOLINK_RETURN_IF_ERROR(check_range<std::int64_t>("node_lost_after_us",
                                                     options.node_lost_after_us, 100'000, kHourUs));
    return check_range<std::int64_t>("reconnect_within_us", options.reconnect_within_us, 0,
                                     kHourUs);
}

Status check_engine_options(const EngineOptions& options) {
    MOLINK_RETURN_IF_ERROR(check_node_options(options));
    MOLINK_RETURN_IF_ERROR(check_security(options.security, true));
    MOLINK_RETURN_IF_ERROR(
        check_range("stages", options.stages, 1, static_cast<std::int32_t>(limits::kMaxNodes)));
    MOLINK_RETURN_IF_ERROR(check_range("max_running", options.max_running, 1,
                                       static_cast<std::int32_t>(limits::kMaxRunning)));
    MOLINK_RETURN_IF_ERROR(check_range("max_waiting", options.max_waiting, 0,
                                       static_cast<std::int32_t>(limits::kMaxWaiting)));
    MOLINK_RETURN_IF_ERROR(
        check_range("max_step_tokens", options.max_step_tokens, 1, limits::kMaxStepTokens));
    MOLINK_RETURN_IF_ERROR(
        check_range("max_slice_tokens", options.max_slice_tokens, 1, options.max_step_tokens));
    if (options.max_in_flight_bytes < 1) {
        return invalid_argument("max_in_flight_bytes is {}; at least 1 is needed",
                                options.max_in_flight_bytes);
    }
    MOLINK_RETURN_IF_ERROR(check_range("max_context", options.max_context, 0,
                                       static_cast<std::int32_t>(limits::kMaxContext)));
    constexpr std::int32_t kMaxExpected = 1'000'000;
    MOLINK_RETURN_IF_ERROR(
        check_range("expected_prompt_tokens", options.expected_prompt_tokens, 1, kMaxExpected));
    MOLINK_RETURN_IF_ERROR(
        check_range("expected_output_tokens", options.expected_output_tokens, 1, kMaxExpected));
    if (options.objective != PartitionObjective::throughput &&
        options.objective != PartitionObjective::latency) {
        return invalid_argument("objective is {}; 0 (throughput) and 1 (latency) are permitted",
                                static_cast<std::int32_t>(options.objective));
    }
    MOLINK_RETURN_IF_ERROR(check_range("lm_head", static_cast<std::int32_t>(options.lm_head),
                                       static_cast<std::int32_t>(LmHead::automatic),
                                       static_cast<std::int32_t>(LmHead::first)));
    switch (options.wire_type) {
        case DataType::f32:
        case DataType::f16:
        case DataType::bf16:
        case DataType::int8: return {};
        default:
            return invalid_argument("wire_type is {}; f32, f16, bf16 and int8 are permitted",
                                    data_type_name(options.wire_type));
    }
}

Status check_worker_options(const WorkerOptions& options) {
    MOLINK_RETURN_IF_ERROR(check_node_options(options));
    MOLINK_RETURN_IF_ERROR(check_security(options.security, false));
    std::string join = options.join;
    if (!options.security.token.empty()) {
        MOLINK_ASSIGN_OR_RETURN(const JoinToken token, parse_token(options.security.token));
        if (join.empty()) join = token.address;
    }
    if (join.empty()) return invalid_argument("join is empty; give the head's address");
    MOLINK_RETURN_IF_ERROR(check_address("join", join, AddressUse::dial, options));
    constexpr std::int64_t kDayUs = 86'400'000'000;
    MOLINK_RETURN_IF_ERROR(
        check_range<std::int64_t>("join_within_us", options.join_within_us, kWaitForever, kDayUs));
    return check_range<std::int64_t>("give_up_after_us", options.give_up_after_us, kWaitForever,
                                     kDayUs);
}

}  // namespace molink
