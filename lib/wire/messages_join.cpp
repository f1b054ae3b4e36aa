// Messages for joining and for building a pipeline. They are rare and small, and they come first on
// a peer link, so strangers send them too. Fields are written in the schema's order, so that equal
// messages have equal bytes. Each field is checked when it is read.
#include "base/limits.h"
#include "wire/generated.h"
#include "wire/wire_codec.h"

namespace molink {
namespace {

flatbuffers::Offset<wire::LayerRange> write_layers(Builder& builder, LayerRange layers) {
    return wire::CreateLayerRange(builder, layers.begin, layers.end);
}

/// Reads a range; an absent one is [0, 0).
LayerRange read_layers(WireReader& reader, const wire::LayerRange* from) {
    LayerRange layers;
    if (from == nullptr) return layers;
    layers.begin = reader.integer("layers.begin", from->begin(), 0, limits::kMaxLayers);
    layers.end = reader.integer("layers.end", from->end(), layers.begin, limits::kMaxLayers);
    return layers;
}

void read_profile(WireReader& reader, const wire::NodeProfile& from, NodeProfile& to) {
    to.decode_layer_us = reader.real("profile.decode_layer_us", from.decode_layer_us());
    to.prefill_row_layer_us =
        reader.real("profile.prefill_row_layer_us", from.prefill_row_layer_us());
    to.lm_head_row_us = reader.real("profile.lm_head_row_us", from.lm_head_row_us());
    to.decode_row_layer_us = reader.real("profile.decode_row_layer_us", from.decode_row_layer_us());
    to.compute_share = reader.real("profile.compute_share", from.compute_share(), 1);
    to.threads = reader.integer("profile.threads", from.threads(), 0, limits::kMaxThreads);
}

/// Writes a reason and cuts it if necessary, because the reader refuses longer texts. The cut is
/// never inside a code point.
flatbuffers::Offset<flatbuffers::String> write_reason(Builder& builder, const std::string& reason) {
    std::size_t bytes = reason.size();
    if (bytes > limits::kMaxWireStringBytes) {
        bytes = limits::kMaxWireStringBytes;
        while (bytes > 0 && (static_cast<unsigned char>(reason[bytes]) & 0xc0u) == 0x80u) --bytes;
    }
    return write_text(builder, reason.substr(0, bytes));
}

}  // namespace

namespace {

flatbuffers::Offset<wire::NodeDevice> write_device(Builder& builder, const NodeDevice& device) {
    const auto name = write_text(builder, device.name);
    const auto domain = write_text(builder, device.memory_domain);
    const NodeProfile& profile = device.profile;
    const auto profile_offset = wire::CreateNodeProfile(
        builder, profile.decode_layer_us, profile.prefill_row_layer_us, profile.lm_head_row_us,
        profile.threads, profile.decode_row_layer_us, profile.compute_share);
    return wire::CreateNodeDevice(builder, name, domain, device.memory_bytes, device.memory_own,
                                  profile_offset);
}

NodeDevice read_device(WireReader& reader, const wire::NodeDevice& from) {
    NodeDevice to;
    to.name = reader.text("name", from.name());
    to.memory_domain = reader.text("memory_domain", from.memory_domain());
    to.memory_bytes = reader.size("memory_bytes", from.memory_bytes(), limits::kMaxMemoryBytes);
    to.memory_own = from.memory_own();
    if (from.profile() != nullptr) read_profile(reader, *from.profile(), to.profile);
    return to;
}

/// Reads the stage that a message is about.
std::uint32_t read_stage(WireReader& reader, std::int32_t stage_index) {
    return static_cast<std::uint32_t>(reader.integer(
        "stage_index", stage_index, 0, static_cast<std::int64_t>(limits::kMaxNodes) - 1));
}

std::int32_t stage_number(std::uint32_t stage_index) {
    return static_cast<std::int32_t>(stage_index);
}

}  // namespace

flatbuffers::Offset<wire::Hello> write(Builder& builder, const Hello& message) {
    const auto release = write_text(builder, message.release);
    const auto node_name = write_text(builder, message.node_name);
    const auto advertise = write_text(builder, message.advertise);
    const auto host_id = write_text(builder, message.host_id);
    flatbuffers::Offset<wire::LayerRange> layers;
    if (message.layers) layers = write_layers(builder, *message.layers);
    std::vector<flatbuffers::Offset<wire::NodeDevice>> devices;
    for (const NodeDevice& device : message.devices) {
        devices.push_back(write_device(builder, device));
    }
    const auto device_list = builder.CreateVector(devices);
    wire::HelloBuilder hello(builder);
    hello.add_protocol_major(message.protocol_major);
    hello.add_protocol_minor(message.protocol_minor);
    hello.add_release(release);
    hello.add_node_name(node_name);
    hello.add_advertise(advertise);
    hello.add_host_id(host_id);
    hello.add_model_hash(message.model_hash);
    hello.add_model_layers(message.model_layers);
    hello.add_weight_type(static_cast<wire::DataType>(message.weight_type));
    hello.add_kv_type(static_cast<wire::DataType>(message.kv_type));
    hello.add_block_tokens(message.block_tokens);
    hello.add_layers(layers);
    hello.add_devices(device_list);
    return hello.Finish();
}

void read(WireReader& reader, const wire::Hello& from, Hello& to) {
    to.protocol_major = from.protocol_major();
    to.protocol_minor = from.protocol_minor();
    to.release = reader.text("release", from.release());
    to.node_name = reader.text("node_name", from.node_name());
    to.advertise = reader.text("advertise", from.advertise());
    to.host_id = reader.text("host_id", from.host_id());
    to.model_hash = from.model_hash();
    to.model_layers = reader.integer("model_layers", from.model_layers(), 0, limits::kMaxLayers);
    to.weight_type = reader.enumerator("weight_type", from.weight_type(), DataType::i32);
    to.kv_type = reader.enumerator("kv_type", from.kv_type(), DataType::i32);
    to.block_tokens =
        reader.integer("block_tokens", from.block_tokens(), 0, limits::kMaxBlockTokens);
    if (from.layers() != nullptr) to.layers = read_layers(reader, from.layers());
    const auto* devices = from.devices();
    const std::size_t count =
        reader.length("devices", devices, limits::kMaxNodeDevices, kTableBytes);
    for (std::size_t i = 0; i < count && reader.ok(); ++i) {
        reader.enter("devices", i);
        to.devices.push_back(
            read_device(reader, *devices->Get(static_cast<flatbuffers::uoffset_t>(i))));
        reader.leave();
    }
}

flatbuffers::Offset<wire::Welcome> write(Builder& builder, const Welcome& message) {
    const auto head_name = write_text(builder, message.head_name);
    wire::WelcomeBuilder welcome(builder);
    welcome.add_node(message.node.value);
    welcome.add_head_name(head_name);
    welcome.add_protocol_minor(message.protocol_minor);
    return welcome.Finish();
}

void read(WireReader& reader, const wire::Welcome& from, Welcome& to) {
    to.node = NodeId(from.node());
    to.head_name = reader.text("head_name", from.head_name());
    to.protocol_minor = from.protocol_minor();
}

flatbuffers::Offset<wire::Refuse> write(Builder& builder, const Refuse& message) {
    const auto reason = write_reason(builder, message.reason);
    return wire::CreateRefuse(builder, static_cast<std::int32_t>(message.code), reason);
}

void read(WireReader& reader, const wire::Refuse& from, Refuse& to) {
    to.code = reader.error_code("code", from.code());
    to.reason = reader.text("reason", from.reason());
}

flatbuffers::Offset<wire::Enrol> write(Builder& builder, const Enrol& message) {
    const auto key = write_key(builder, message.key);
    return wire::CreateEnrol(builder, key, write_text(builder, message.node_name));
}

void read(WireReader& reader, const wire::Enrol& from, Enrol& to) {
    const auto key = reader.key("key", from.key());
    if (key) {
        to.key = *key;
    } else if (reader.ok()) {
        reader.fail("key", "is missing");
    }
    to.node_name = reader.text("node_name", from.node_name());
}

flatbuffers::Offset<wire::Enrolled> write(Builder& builder, const Enrolled&) {
    return wire::CreateEnrolled(builder);
}

void read(WireReader&, const wire::Enrolled&, Enrolled&) {}

namespace {

flatbuffers::Offset<wire::Ring> write_ring(Builder& builder, const Ring& ring) {
    std::vector<flatbuffers::Offset<wire::RingStage>> stages;
    for (const RingStage& stage : ring.stages()) {
        const auto address = write_text(builder, stage.address);
        const auto layers = write_layers(builder, stage.layers);
        const auto key = write_key(builder, stage.key);
        stages.push_back(wire::CreateRingStage(builder, stage.node.value, address, layers, key));
    }
    const auto list = builder.CreateVector(stages);
    const RingShape& shape = ring.shape();
    const bool lm_head_first = !ring.empty() && shape.lm_head_stage() == 0;
    return wire::CreateRing(builder, list, lm_head_first, shape.feeds_back());
}

void read_ring(WireReader& reader, const wire::Ring* from, Ring& to) {
    if (from == nullptr || from->stages() == nullptr) {
        reader.fail("ring", "is missing");
        return;
    }
    const auto& list = *from->stages();
    std::vector<RingStage> stages(
        reader.length("ring.stages", &list, limits::kMaxNodes, kTableBytes));
    for (std::size_t i = 0; i < stages.size() && reader.ok(); ++i) {
        const wire::RingStage& stage = *list.Get(static_cast<flatbuffers::uoffset_t>(i));
        reader.enter("ring.stages", i);
        stages[i].node = NodeId(stage.node());
        stages[i].address = reader.text("address", stage.address());
        stages[i].layers = read_layers(reader, stage.layers());
        stages[i].key = reader.key("key", stage.key());
        reader.leave();
    }
    if (!reader.ok()) return;
    auto ring = Ring::make(std::move(stages), from->lm_head_first(), from->feeds_back());
    if (ring) {
        to = std::move(*ring);
    } else {
        reader.fail("ring", "is not valid: " + ring.error().message());
    }
}

}  // namespace

flatbuffers::Offset<wire::Assign> write(Builder& builder, const Assign& message) {
    const auto epoch = write_epoch(builder, message.epoch);
    const auto ring = write_ring(builder, message.ring);
    wire::AssignBuilder assign(builder);
    assign.add_epoch(epoch);
    assign.add_ring(ring);
    assign.add_stage_index(static_cast<std::int32_t>(message.stage_index));
    assign.add_activation_type(static_cast<wire::DataType>(message.activation_type));
    assign.add_max_rows(message.max_rows);
    assign.add_max_sequences(message.max_sequences);
    assign.add_max_context(message.max_context);
    assign.add_memory_bytes(message.memory_bytes);
    assign.add_max_kv_blocks(message.max_kv_blocks);
    assign.add_protocol_minor(message.protocol_minor);
    return assign.Finish();
}

void read(WireReader& reader, const wire::Assign& from, Assign& to) {
    to.epoch = read_epoch(from.epoch());
    read_ring(reader, from.ring(), to.ring);
    if (!reader.ok()) return;
    to.stage_index = static_cast<std::uint32_t>(
        reader.integer("stage_index", from.stage_index(), 0,
                       static_cast<std::int64_t>(to.ring.shape().last_stage())));
    to.activation_type = reader.activation_type(static_cast<std::uint8_t>(from.activation_type()));
    to.max_rows = reader.integer("max_rows", from.max_rows(), 0, limits::kMaxPartRows);
    to.max_sequences = reader.integer("max_sequences", from.max_sequences(), 0,
                                      static_cast<std::int64_t>(limits::kMaxRunning));
    to.max_context = reader.integer("max_context", from.max_context(), 0, limits::kMaxContext);
    to.memory_bytes = reader.size("memory_bytes", from.memory_bytes(), limits::kMaxMemoryBytes);
    to.max_kv_blocks = from.max_kv_blocks();
    to.protocol_minor = from.protocol_minor();
}

flatbuffers::Offset<wire::LoadProgress> write(Builder& builder, const LoadProgress& message) {
    const auto epoch = write_epoch(builder, message.epoch);
    return wire::CreateLoadProgress(builder, epoch, stage_number(message.stage_index),
                                    message.done_bytes, message.total_bytes);
}

void read(WireReader& reader, const wire::LoadProgress& from, LoadProgress& to) {
    to.epoch = read_epoch(from.epoch());
    to.stage_index = read_stage(reader, from.stage_index());
    to.done_bytes = reader.size("done_bytes", from.done_bytes(), limits::kMaxMemoryBytes);
    to.total_bytes = reader.size("total_bytes", from.total_bytes(), limits::kMaxMemoryBytes);
}

flatbuffers::Offset<wire::StageLoaded> write(Builder& builder, const StageLoaded& message) {
    const auto epoch = write_epoch(builder, message.epoch);
    std::vector<flatbuffers::Offset<flatbuffers::String>> names;
    std::vector<std::int64_t> rows;
    std::vector<std::uint64_t> hashes;
    for (const LoadedTensor& tensor : message.tensors) {
        names.push_back(builder.CreateString(tensor.name));
        rows.insert(rows.end(), {tensor.begin, tensor.end});
        hashes.insert(hashes.end(), {tensor.hash.low, tensor.hash.high});
    }
    flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>> name_list;
    if (!names.empty()) name_list = builder.CreateVector(names);
    const auto row_list = write_list<std::int64_t>(builder, rows);
    const auto hash_list = write_list<std::uint64_t>(builder, hashes);
    return wire::CreateStageLoaded(builder, epoch, stage_number(message.stage_index),
                                   message.weight_bytes, message.kv_block_capacity, name_list,
                                   row_list, hash_list);
}

namespace {

/// Reads the three lists about tensors, whose lengths must agree.
void read_tensors(WireReader& reader, const wire::StageLoaded& from,
                  std::vector<LoadedTensor>& to) {
    const std::size_t count = reader.length("tensor_names", from.tensor_names(),
                                            limits::kMaxStageTensors, sizeof(std::uint32_t));
    const auto rows =
        reader.list<std::int64_t>("tensor_rows", from.tensor_rows(), 2 * limits::kMaxStageTensors);
    const auto hashes = reader.list<std::uint64_t>("tensor_hashes", from.tensor_hashes(),
                                                   2 * limits::kMaxStageTensors);
    if (!reader.ok()) return;
    if (rows.size() != 2 * count || hashes.size() != 2 * count) {
        reader.fail("tensor_names", fmt::format("has {} names, for {} rows and {} halves of hashes",
                                                count, rows.size(), hashes.size()));
        return;
    }
    for (std::size_t i = 0; i < count && reader.ok(); ++i) {
        LoadedTensor tensor;
        tensor.name = reader.text("tensor_names",
                                  from.tensor_names()->Get(static_cast<flatbuffers::uoffset_t>(i)));
        tensor.begin = reader.integer("tensor_rows", rows[2 * i], 0, limits::kMaxVocabulary);
        tensor.end = reader.integer("tensor_rows", rows[2 * i + 1], 0, limits::kMaxVocabulary);
        if (tensor.begin >= tensor.end && tensor.begin != 0) {
            reader.fail("tensor_rows",
                        fmt::format("are {} to {}, which are none", tensor.begin, tensor.end));
        }
        tensor.hash = {hashes[2 * i], hashes[2 * i + 1]};
        to.push_back(std::move(tensor));
    }
}

}  // namespace

void read(WireReader& reader, const wire::StageLoaded& from, StageLoaded& to) {
    to.epoch = read_epoch(from.epoch());
    to.stage_index = read_stage(reader, from.stage_index());
    to.weight_bytes = reader.size("weight_bytes", from.weight_bytes(), limits::kMaxMemoryBytes);
    to.kv_block_capacity = from.kv_block_capacity();
    read_tensors(reader, from, to.tensors);
}

flatbuffers::Offset<wire::StageStart> write(Builder& builder, const StageStart& message) {
    const auto epoch = write_epoch(builder, message.epoch);
    return wire::CreateStageStart(builder, epoch, stage_number(message.stage_index),
                                  message.kv_blocks);
}

void read(WireReader& reader, const wire::StageStart& from, StageStart& to) {
    to.epoch = read_epoch(from.epoch());
    to.stage_index = read_stage(reader, from.stage_index());
    to.kv_blocks = reader.size("kv_blocks", from.kv_blocks(), limits::kMaxKvBlocks);
}

flatbuffers::Offset<wire::StageReady> write(Builder& builder, const StageReady& message) {
    return wire::CreateStageReady(builder, write_epoch(builder, message.epoch),
                                  stage_number(message.stage_index));
}

void read(WireReader& reader, const wire::StageReady& from, StageReady& to) {
    to.epoch = read_epoch(from.epoch());
    to.stage_index = read_stage(reader, from.stage_index());
}

flatbuffers::Offset<wire::PeerHello> write(Builder& builder, const PeerHello& message) {
    const auto epoch = write_epoch(builder, message.epoch);
    return wire::CreatePeerHello(builder, epoch, message.node.value,
                                 stage_number(message.stage_index));
}

void read(WireReader& reader, const wire::PeerHello& from, PeerHello& to) {
    to.epoch = read_epoch(from.epoch());
    to.node = NodeId(from.node());
    to.stage_index = read_stage(reader, from.stage_index());
}

flatbuffers::Offset<wire::StageFailed> write(Builder& builder, const StageFailed& message) {
    const auto epoch = write_epoch(builder, message.epoch);
    const auto reason = write_reason(builder, message.reason);
    return wire::CreateStageFailed(builder, epoch, stage_number(message.stage_index),
                                   static_cast<std::int32_t>(message.code), reason,
                                   message.next_unreachable);
}

void read(WireReader& reader, const wire::StageFailed& from, StageFailed& to) {
    to.epoch = read_epoch(from.epoch());
    to.stage_index = read_stage(reader, from.stage_index());
    to.code = reader.error_code("code", from.code());
    to.reason = reader.text("reason", from.reason());
    to.next_unreachable = from.next_unreachable();
}

flatbuffers::Offset<wire::EndEpoch> write(Builder& builder, const EndEpoch& message) {
    return wire::CreateEndEpoch(builder, write_epoch(builder, message.epoch));
}

void read(WireReader&, const wire::EndEpoch& from, EndEpoch& to) {
    to.epoch = read_epoch(from.epoch());
}

namespace {

flatbuffers::Offset<wire::LinkReport> write_report(Builder& builder, const LinkReport& report) {
    const auto sent = write_list<std::uint64_t>(builder, report.lane_sent_bytes);
    const auto received = write_list<std::uint64_t>(builder, report.lane_received_bytes);
    const auto messages = write_list<std::uint64_t>(builder, report.lane_sent_messages);
    const auto queued = write_list<std::int64_t>(builder, report.lane_queue_us);
    wire::LinkReportBuilder out(builder);
    out.add_sent_bytes(report.sent_bytes);
    out.add_received_bytes(report.received_bytes);
    out.add_resent_bytes(report.resent_bytes);
    out.add_lane_sent_bytes(sent);
    out.add_lane_received_bytes(received);
    out.add_lane_sent_messages(messages);
    out.add_lane_queue_us(queued);
    out.add_round_trip_us(report.round_trip_us);
    out.add_bytes_per_s(report.bytes_per_s);
    out.add_delay_us(report.delay_us);
    out.add_jitter_us(report.jitter_us);
    return out.Finish();
}

LinkReport read_report(WireReader& reader, const wire::LinkReport& from) {
    LinkReport to;
    to.sent_bytes = from.sent_bytes();
    to.received_bytes = from.received_bytes();
    to.resent_bytes = from.resent_bytes();
    to.lane_sent_bytes =
        reader.list<std::uint64_t>("lane_sent_bytes", from.lane_sent_bytes(), kLaneCount);
    to.lane_received_bytes =
        reader.list<std::uint64_t>("lane_received_bytes", from.lane_received_bytes(), kLaneCount);
    to.lane_sent_messages =
        reader.list<std::uint64_t>("lane_sent_messages", from.lane_sent_messages(), kLaneCount);
    to.lane_queue_us = reader.list<std::int64_t>("lane_queue_us", from.lane_queue_us(), kLaneCount);
    to.round_trip_us = reader.integer("round_trip_us", from.round_trip_us(), 0, limits::kLongestUs);
    to.bytes_per_s = reader.real("bytes_per_s", from.bytes_per_s());
    to.delay_us = reader.integer("delay_us", from.delay_us(), 0, limits::kLongestUs);
    to.jitter_us = reader.integer("jitter_us", from.jitter_us(), 0, limits::kLongestUs);
    return to;
}

template <typename Table>
using TableList = flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<Table>>>;

TableList<wire::StageActivity> write_stages(Builder& builder, const Heartbeat& message) {
    std::vector<flatbuffers::Offset<wire::StageActivity>> stages;
    for (const StageActivity& stage : message.stages) {
        const auto epoch = write_epoch(builder, stage.epoch);
        stages.push_back(wire::CreateStageActivity(builder, epoch, stage_number(stage.stage_index),
                                                   stage.received, stage.sent, stage.held_us));
    }
    return stages.empty() ? 0 : builder.CreateVector(stages);
}

void read_stages(WireReader& reader, const wire::Heartbeat& from, Heartbeat& to) {
    const auto* list = from.stages();
    const std::size_t count = reader.length("stages", list, limits::kMaxNodeDevices, kTableBytes);
    for (std::size_t i = 0; i < count && reader.ok(); ++i) {
        const wire::StageActivity& stage = *list->Get(static_cast<flatbuffers::uoffset_t>(i));
        reader.enter("stages", i);
        to.stages.push_back({read_epoch(stage.epoch()), read_stage(reader, stage.stage_index()),
                             stage.received(), stage.sent(),
                             reader.integer("held_us", stage.held_us(), 0, limits::kLongestUs)});
        reader.leave();
    }
}

}  // namespace

flatbuffers::Offset<wire::Heartbeat> write(Builder& builder, const Heartbeat& message) {
    std::vector<flatbuffers::Offset<wire::StageLinkReport>> next_links;
    for (const StageLinkReport& report : message.next_links) {
        const auto epoch = write_epoch(builder, report.epoch);
        const auto link = write_report(builder, report.link);
        next_links.push_back(
            wire::CreateStageLinkReport(builder, epoch, stage_number(report.stage_index), link));
    }
    TableList<wire::StageLinkReport> list;
    if (!next_links.empty()) list = builder.CreateVector(next_links);
    const auto stages = write_stages(builder, message);
    return wire::CreateHeartbeat(builder, message.sequence, list, stages);
}

void read(WireReader& reader, const wire::Heartbeat& from, Heartbeat& to) {
    to.sequence = from.sequence();
    const auto* list = from.next_links();
    const std::size_t count =
        reader.length("next_links", list, limits::kMaxNodeDevices, kTableBytes);
    for (std::size_t i = 0; i < count && reader.ok(); ++i) {
        const wire::StageLinkReport& next = *list->Get(static_cast<flatbuffers::uoffset_t>(i));
        reader.enter("next_links", i);
        if (next.link() == nullptr) {
            reader.fail("link", "is missing");
        } else {
            to.next_links.push_back({read_epoch(next.epoch()),
                                     read_stage(reader, next.stage_index()),
                                     read_report(reader, *next.link())});
        }
        reader.leave();
    }
    read_stages(reader, from, to);
}

flatbuffers::Offset<wire::ProbeLink> write(Builder& builder, const ProbeLink& message) {
    const auto address = write_text(builder, message.address);
    const auto key = write_key(builder, message.key);
    return wire::CreateProbeLink(builder, message.node.value, address, message.second, key);
}

void read(WireReader& reader, const wire::ProbeLink& from, ProbeLink& to) {
    to.node = NodeId(from.node());
    to.address = reader.text("address", from.address());
    to.second = from.second();
    to.key = reader.key("key", from.key());
}

flatbuffers::Offset<wire::ProbeHello> write(Builder& builder, const ProbeHello& message) {
    return wire::CreateProbeHello(builder, message.node.value);
}

void read(WireReader&, const wire::ProbeHello& from, ProbeHello& to) {
    to.node = NodeId(from.node());
}

flatbuffers::Offset<wire::LinkProbe> write(Builder& builder, const LinkProbe& message) {
    return wire::CreateLinkProbe(builder, message.from.value, message.to.value, message.reached,
                                 message.bytes_per_s, message.delay_us, message.jitter_us);
}

void read(WireReader& reader, const wire::LinkProbe& from, LinkProbe& to) {
    to.from = NodeId(from.from());
    to.to = NodeId(from.to());
    to.reached = from.reached();
    to.bytes_per_s = reader.real("bytes_per_s", from.bytes_per_s());
    to.delay_us = reader.integer("delay_us", from.delay_us(), 0, limits::kLongestUs);
    to.jitter_us = reader.integer("jitter_us", from.jitter_us(), 0, limits::kLongestUs);
}

}  // namespace molink
