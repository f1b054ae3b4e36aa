#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <molink/security.h>
#include <molink/status.h>
#include <molink/types.h>

#include "base/bytes.h"
#include "base/pipeline_epoch.h"
#include "ring/ring.h"
#include "tensor/tensor_hash.h"
#include "work/part.h"
#include "work/retired_part.h"

// All messages between nodes as plain structs, and their encoding. Types of work are in work/. The
// schema is lib/wire/molink.fbs. decode_message verifies bytes before it reads them, and checks
// every bound that the schema cannot express.
namespace molink {

// ---- Joining ----------------------------------------------------------------------------------

/// Measurements of a node on its own device.
struct NodeProfile {
    double decode_layer_us = 0;       ///< one layer, one row
    double prefill_row_layer_us = 0;  ///< one layer, per row of a long slice
    double lm_head_row_us = 0;        ///< LM head, one row
    std::int32_t threads = 0;
    double decode_row_layer_us = 0;  ///< one layer, each further decode row; 0: not measured
    /// Share of the machine's compute that the device uses while it computes; 0: not known. Devices
    /// of one memory domain whose shares add up to at most 1 do not slow each other.
    double compute_share = 0;
    friend bool operator==(const NodeProfile&, const NodeProfile&) = default;
};

/// A device of a process, on which it can hold a stage.
struct NodeDevice {
    std::string name;           ///< as options name it, such as "cpu"
    std::string memory_domain;  ///< equal for devices that share one memory
    /// Memory that the device may use. Nodes of one memory domain share it, unless memory_own is
    /// set.
    std::uint64_t memory_bytes = 0;
    bool memory_own = false;  ///< memory_bytes was set for this device alone
    NodeProfile profile;
    friend bool operator==(const NodeDevice&, const NodeDevice&) = default;
};

/// Worker to head: the first message on the peer link. Each device becomes a node.
struct Hello {
    std::uint16_t protocol_major = 0;
    std::uint16_t protocol_minor = 0;
    std::string release;
    std::string node_name;
    std::string advertise;  ///< address that other nodes dial
    std::string host_id;    ///< equal for nodes on one machine
    std::uint64_t model_hash = 0;
    std::int32_t model_layers = 0;
    DataType weight_type = DataType::f32;  ///< q8_0 if quantised, otherwise the stored type
    DataType kv_type = DataType::f32;
    std::int32_t block_tokens = 0;
    std::optional<LayerRange> layers;  ///< fixed by the operator; only with one device
    std::vector<NodeDevice> devices;   ///< at least one
    friend bool operator==(const Hello&, const Hello&) = default;
};

/// Head to worker: its devices are accepted as nodes.
struct Welcome {
    NodeId node;  ///< of the first device; those of the others follow in order
    std::string head_name;
    std::uint16_t protocol_minor = 0;
    friend bool operator==(const Welcome&, const Welcome&) = default;
};

/// Both directions: the peer is not, or no longer, accepted. The peer link ends after it.
struct Refuse {
    StatusCode code = StatusCode::internal;
    std::string reason;
    friend bool operator==(const Refuse&, const Refuse&) = default;
};

/// Worker to head, over a link that a join token opened: this is the key of the new node.
struct Enrol {
    PublicKey key;
    std::string node_name;
    friend bool operator==(const Enrol&, const Enrol&) = default;
};

/// Head to worker: the key may join now. The peer link ends after it.
struct Enrolled {
    friend bool operator==(const Enrolled&, const Enrolled&) = default;
};

// ---- Building a pipeline -----------------------------------------------------------------------

/// Head to worker: hold this stage.
struct Assign {
    PipelineEpoch epoch;
    Ring ring;
    std::uint32_t stage_index = 0;  ///< stage of the receiver
    DataType activation_type = DataType::f32;
    std::int32_t max_rows = 0;        ///< maximum rows of one part
    std::int32_t max_sequences = 0;   ///< maximum number of running sequences
    std::int32_t max_context = 0;     ///< maximum positions of one sequence
    std::uint64_t memory_bytes = 0;   ///< this node's share: weights, workspace and KV
    std::uint64_t max_kv_blocks = 0;  ///< further blocks are useless
    /// The lowest minor version of the processes of the ring, the head included.
    std::uint16_t protocol_minor = 0;

    const RingStage& stage() const { return ring.stage(stage_index); }
    friend bool operator==(const Assign&, const Assign&) = default;
};

/// Worker to head: progress of loading.
struct LoadProgress {
    PipelineEpoch epoch;
    std::uint32_t stage_index = 0;
    std::uint64_t done_bytes = 0;
    std::uint64_t total_bytes = 0;
    friend bool operator==(const LoadProgress&, const LoadProgress&) = default;
};

/// Worker to head: the weights are loaded, and this number of blocks fits.
struct StageLoaded {
    PipelineEpoch epoch;
    std::uint32_t stage_index = 0;
    std::uint64_t weight_bytes = 0;
    std::uint64_t kv_block_capacity = 0;
    /// What the stage has read from its files. Empty from timed stages and from nodes before
    /// protocol 3.1.
    std::vector<LoadedTensor> tensors;
    friend bool operator==(const StageLoaded&, const StageLoaded&) = default;
};

/// Head to worker: use this number of blocks (that of the smallest stage) and dial the next stage.
struct StageStart {
    PipelineEpoch epoch;
    std::uint32_t stage_index = 0;
    std::uint64_t kv_blocks = 0;
    friend bool operator==(const StageStart&, const StageStart&) = default;
};

/// Worker to head: pages are allocated, and the next stage is connected.
struct StageReady {
    PipelineEpoch epoch;
    std::uint32_t stage_index = 0;
    friend bool operator==(const StageReady&, const StageReady&) = default;
};

/// Worker to the next worker: identifies the caller.
struct PeerHello {
    PipelineEpoch epoch;
    NodeId node;
    std::uint32_t stage_index = 0;  ///< stage of the caller
    friend bool operator==(const PeerHello&, const PeerHello&) = default;
};

/// Worker to head: the stage cannot continue.
struct StageFailed {
    PipelineEpoch epoch;
    std::uint32_t stage_index = 0;
    StatusCode code = StatusCode::internal;
    std::string reason;
    bool next_unreachable = false;  ///< because it could never reach the stage after it
    friend bool operator==(const StageFailed&, const StageFailed&) = default;
};

/// Head to worker: the epoch is over, and its stages end. The worker closes its links to other
/// stages. It keeps the layers, which the next epoch may need. Not for nodes before protocol 3.1.
struct EndEpoch {
    PipelineEpoch epoch;
    friend bool operator==(const EndEpoch&, const EndEpoch&) = default;
};

/// Counters of a peer link. Lists are [kLaneCount] or empty.
struct LinkReport {
    std::uint64_t sent_bytes = 0;
    std::uint64_t received_bytes = 0;
    std::uint64_t resent_bytes = 0;
    std::vector<std::uint64_t> lane_sent_bytes;
    std::vector<std::uint64_t> lane_received_bytes;
    std::vector<std::uint64_t> lane_sent_messages;
    std::vector<std::int64_t> lane_queue_us;
    std::int64_t round_trip_us = 0;
    double bytes_per_s = 0;
    std::int64_t delay_us = 0;
    std::int64_t jitter_us = 0;
    friend bool operator==(const LinkReport&, const LinkReport&) = default;
};

/// Counters of the peer link from a worker's stage to the process that the stage sends to.
struct StageLinkReport {
    PipelineEpoch epoch;
    std::uint32_t stage_index = 0;
    LinkReport link;
    friend bool operator==(const StageLinkReport&, const StageLinkReport&) = default;
};

/// What a stage does in an epoch: counts of parts from its start.
struct StageActivity {
    PipelineEpoch epoch;
    std::uint32_t stage_index = 0;
    std::uint64_t received = 0;  ///< parts that the stage was given to compute
    std::uint64_t sent = 0;      ///< parts that it has sent to the next stage or to the LM head
    /// How long the stage has held the oldest part that it is to compute; 0: it holds none.
    std::int64_t held_us = 0;
    friend bool operator==(const StageActivity&, const StageActivity&) = default;
};

/// Both directions, once a second: the sender is alive.
struct Heartbeat {
    std::uint64_t sequence = 0;
    /// From a worker: one of each stage that sends to another process.
    std::vector<StageLinkReport> next_links;
    /// From a worker: one of each stage that serves. Empty from nodes before protocol 3.1.
    std::vector<StageActivity> stages;
    friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

// ---- Measuring links ---------------------------------------------------------------------------

/// Head to worker: measure the link to this node.
struct ProbeLink {
    NodeId node;
    /// Advertised address of that node. Empty: the head, at the address that was joined. A worker
    /// sends to another worker on a peer link that the sender dialled. Worker and head use the peer
    /// link that the worker dialled, so it is measured in both directions.
    std::string address;
    bool second = false;           ///< the other node measures its link first
    std::optional<PublicKey> key;  ///< of that node; none in a cluster without keys
    friend bool operator==(const ProbeLink&, const ProbeLink&) = default;
};

/// First message on a peer link that exists only to be measured: identifies the caller.
struct ProbeHello {
    NodeId node;
    friend bool operator==(const ProbeHello&, const ProbeHello&) = default;
};

/// One direction as its sender measured it. On a measured peer link it also means that the other
/// end may measure now. Worker to head: the result.
struct LinkProbe {
    NodeId from;
    NodeId to;
    bool reached = false;    ///< the other end answered in time; otherwise the rest has no meaning
    double bytes_per_s = 0;  ///< 0: the link is so fast that it needs no pace
    std::int64_t delay_us = 0;
    std::int64_t jitter_us = 0;
    friend bool operator==(const LinkProbe&, const LinkProbe&) = default;
};

// ---- All of them -------------------------------------------------------------------------------

using Message = std::variant<Hello, Welcome, Refuse, Assign, LoadProgress, StageLoaded, StageStart,
                             StageReady, PeerHello, StageFailed, Heartbeat, ProbeLink, ProbeHello,
                             LinkProbe, PartPlan, ForwardedPart, ReturnedPart, RetiredPart,
                             TokenFeedback, Enrol, Enrolled, EndEpoch>;

/// Returns the name of the alternative, for errors. Static storage.
std::string_view message_name(const Message& message);

/// Encodes a message as a finished FlatBuffer with a file identifier. Equal messages give equal
/// bytes. A `reason` is cut to limits::kMaxWireStringBytes. Returns no bytes for a message above
/// limits::kMaxMessageBytes; the bounds on parts keep messages far below it.
Bytes encode_message(const Message& message);

/// Verifies and reads a message. Errors: data_loss, saying what is wrong (verifier, unknown kind, a
/// count or enum out of range, a string too long, activations of the wrong size).
Result<Message> decode_message(ByteSpan bytes);

/// Returns the bytes of activations in a message that encode_message made. Verifies nothing.
std::size_t peek_activation_bytes(ByteSpan bytes);

}  // namespace molink
