// Who may join: every property that must be equal on all nodes, checked one by one so that a
// refusal names the one that differs and both values. Kept free of I/O so that each refusal can be
// tested.
#include <cmath>

#include "base/error.h"
#include "base/node_address.h"
#include "base/peer_limits.h"
#include "kv/capacity.h"
#include "node/node_identity.h"
#include "wire/protocol.h"

namespace molink {
namespace {

Status differs(std::string_view what, std::string_view node, const std::string& theirs,
               const std::string& ours) {
    return make_error(StatusCode::failed_precondition, "node '{}' has {} {}; the head has {}", node,
                      what, theirs, ours);
}

Status check_memory(const NodeDevice& device, const PartitionModel& model) {
    const std::int32_t least = smallest_layer(model);
    StageMemory memory = stage_memory(model, {least, least + 1}, false, false);
    memory.memory_bytes = static_cast<std::int64_t>(device.memory_bytes);
    const Status fits = check_capacity("a stage of one layer", memory, model.min_blocks);
    if (fits.ok()) return {};
    return Status(StatusCode::failed_precondition, fits.message());  // it lasts
}

Status check_time(const NodeDevice& device, std::string_view what, double time_us,
                  double least_us) {
    if (std::isfinite(time_us) && time_us >= least_us && time_us <= limits::kMaxProfileUs) {
        return {};
    }
    return invalid_argument("device '{}' takes {} us for {}; {} to {} are possible", device.name,
                            time_us, what, least_us, limits::kMaxProfileUs);
}

Status check_devices(const Hello& hello, const PartitionModel& model) {
    if (hello.devices.empty()) {
        return invalid_argument("node '{}' offers no device", hello.node_name);
    }
    if (hello.layers && hello.devices.size() > 1) {
        return invalid_argument("node '{}' fixes layers for {} devices; it may for one",
                                hello.node_name, hello.devices.size());
    }
    for (std::size_t i = 0; i < hello.devices.size(); ++i) {
        const std::string node =
            fmt::format("node '{}'", node_name(hello.node_name, hello.devices, i));
        MOLINK_RETURN_IF_ERROR(check_memory(hello.devices[i], model).with_context(node));
        MOLINK_RETURN_IF_ERROR(check_profile(hello.devices[i]).with_context(node));
    }
    return {};
}

}  // namespace

Hello make_hello(const NodeIdentity& identity, const std::string& advertise) {
    Hello hello;
    hello.protocol_major = kProtocolMajor;
    hello.protocol_minor = kProtocolMinor;
    hello.release = kReleaseName;
    hello.node_name = identity.name;
    hello.advertise = advertise;
    hello.host_id = identity.host_id;
    hello.model_hash = identity.model_hash;
    hello.model_layers = identity.spec.layers;
    hello.weight_type = identity.weight_type;
    hello.kv_type = identity.kv_type;
    hello.block_tokens = identity.block_tokens;
    hello.layers = identity.layers;
    hello.devices = identity.devices;
    return hello;
}

Status check_profile(const NodeDevice& device) {
    const NodeProfile& profile = device.profile;
    MOLINK_RETURN_IF_ERROR(check_time(device, "a decoded row in a layer", profile.decode_layer_us,
                                      limits::kLeastLayerUs));
    MOLINK_RETURN_IF_ERROR(
        check_time(device, "a further decoded row in a layer", profile.decode_row_layer_us, 0));
    MOLINK_RETURN_IF_ERROR(
        check_time(device, "a row of a prompt in a layer", profile.prefill_row_layer_us, 0));
    return check_time(device, "a row in the LM head", profile.lm_head_row_us, 0);
}

Status check_hello(const Hello& hello, const NodeIdentity& head, const PartitionModel& model) {
    const std::string& node = hello.node_name;
    if (node.empty()) return invalid_argument("the node gives no name");
    if (hello.protocol_major != kProtocolMajor) {
        return differs(
            "protocol version", node,
            fmt::format("{}.{} ({})", hello.protocol_major, hello.protocol_minor, hello.release),
            fmt::format("{}.{} ({})", kProtocolMajor, kProtocolMinor, kReleaseName));
    }
    if (hello.model_layers != head.spec.layers) {
        return differs("a model of", node, fmt::format("{} layers", hello.model_layers),
                       fmt::format("{} layers", head.spec.layers));
    }
    if (is_timed(hello.devices) != is_timed(head.devices)) {
        return make_error(StatusCode::failed_precondition,
                          "node '{}' {}, and the head {}; all nodes of a cluster do the same", node,
                          is_timed(hello.devices) ? "is timed" : "computes",
                          is_timed(head.devices) ? "is timed" : "computes");
    }
    if (hello.model_hash != head.model_hash) {
        return differs("a model with hash", node, fmt::format("{:016x}", hello.model_hash),
                       fmt::format("{:016x}", head.model_hash));
    }
    if (hello.weight_type != head.weight_type) {
        return differs("weights as", node, std::string(data_type_name(hello.weight_type)),
                       std::string(data_type_name(head.weight_type)));
    }
    if (hello.kv_type != head.kv_type) {
        return differs("a KV cache of", node, std::string(data_type_name(hello.kv_type)),
                       std::string(data_type_name(head.kv_type)));
    }
    if (hello.block_tokens != head.block_tokens) {
        return differs("KV blocks of", node, fmt::format("{} tokens", hello.block_tokens),
                       fmt::format("{} tokens", head.block_tokens));
    }
    MOLINK_RETURN_IF_ERROR(check_node_address("advertise", hello.advertise, AddressUse::dial)
                               .with_context(fmt::format("node '{}'", node)));
    if (hello.layers && (hello.layers->begin < 0 || hello.layers->empty() ||
                         hello.layers->end > head.spec.layers)) {
        return invalid_argument("node '{}' asks for layers {}-{}; the model has layers 0-{}", node,
                                hello.layers->begin, hello.layers->end - 1, head.spec.layers - 1);
    }
    return check_devices(hello, model);
}

}  // namespace molink
