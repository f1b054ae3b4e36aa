#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

#include "base/bytes.h"
#include "base/pipeline_epoch.h"
#include "ring/ring.h"
#include "work/part.h"
#include "work/retired_part.h"

// Every message between nodes as a plain struct, and its bytes. Types of work are in work/.
// lib/wire/molink.fbs is the schema; decode_message verifies before it reads, and checks every
// bound that the schema cannot express.
namespace molink {

// ---- Joining ----------------------------------------------------------------------------------

/// What a node measured about itself; times in us on its own device.
struct NodeProfile {
    double decode_layer_us = 0;       ///< one layer, one row
    double prefill_row_layer_us = 0;  ///< one layer, per row of a long slice
    double lm_head_row_us = 0;        ///< LM head, one row
    std::int32_t threads = 0;
    double decode_row_layer_us = 0;  ///< one layer, every further decode row; 0: not measured
    friend bool operator==(const NodeProfile&, const NodeProfile&) = default;
};

/// Worker to head, first message on the peer link.
struct Hello {
    std::uint16_t protocol_major = 0;
    std::uint16_t protocol_minor = 0;
    std::string release;
    std::string node_name;
    std::string advertise;      ///< the address that other nodes dial
    std::string host_id;        ///< equal for nodes on one machine
    std::string memory_domain;  ///< equal for nodes whose devices share one memory
    std::uint64_t model_hash = 0;
    std::int32_t model_layers = 0;
    DataType weight_type = DataType::f32;  ///< q8_0 when quantised while loading, else stored type
    DataType kv_type = DataType::f32;
    std::int32_t block_tokens = 0;
    /// What the node may use. Nodes of one memory domain share it, unless memory_own is set.
    std::uint64_t memory_bytes = 0;
    bool memory_own = false;           ///< memory_bytes was set for this node alone
    std::optional<LayerRange> layers;  ///< override by the operator
    NodeProfile profile;
    friend bool operator==(const Hello&, const Hello&) = default;
};

/// Head to worker: accepted.
struct Welcome {
    NodeId node;
    std::string head_name;
    std::uint16_t protocol_minor = 0;
    friend bool operator==(const Welcome&, const Welcome&) = default;
};

/// Either way: not accepted, or not any more. The peer link ends after it.
struct Refuse {
    StatusCode code = StatusCode::internal;
    std::string reason;
    friend bool operator==(const Refuse&, const Refuse&) = default;
};

// ---- Building a pipeline -----------------------------------------------------------------------

/// Head to worker: hold this stage.
struct Assign {
    PipelineEpoch epoch;
    Ring ring;
    std::uint32_t stage_index = 0;  ///< of the receiver in the ring
    DataType activation_type = DataType::f32;
    std::int32_t max_rows = 0;        ///< of one part
    std::int32_t max_sequences = 0;   ///< running at once
    std::int32_t max_context = 0;     ///< positions of one sequence
    std::uint64_t memory_bytes = 0;   ///< this node's share: weights, workspace and KV
    std::uint64_t max_kv_blocks = 0;  ///< more blocks are of no use

    const RingStage& stage() const { return ring.stage(stage_index); }
    friend bool operator==(const Assign&, const Assign&) = default;
};

/// Worker to head, while loading.
struct LoadProgress {
    PipelineEpoch epoch;
    std::uint64_t done_bytes = 0;
    std::uint64_t total_bytes = 0;
    friend bool operator==(const LoadProgress&, const LoadProgress&) = default;
};

/// Worker to head: the weights are loaded, and so many blocks would fit.
struct StageLoaded {
    PipelineEpoch epoch;
    std::uint64_t weight_bytes = 0;
    std::uint64_t kv_block_capacity = 0;
    friend bool operator==(const StageLoaded&, const StageLoaded&) = default;
};

/// Head to worker: use this many blocks (the smallest stage's), dial the next stage.
struct StageStart {
    PipelineEpoch epoch;
    std::uint64_t kv_blocks = 0;
    friend bool operator==(const StageStart&, const StageStart&) = default;
};

/// Worker to head: pages are allocated, and the next stage is reached.
struct StageReady {
    PipelineEpoch epoch;
    friend bool operator==(const StageReady&, const StageReady&) = default;
};

/// Worker to the next worker: who is calling.
struct PeerHello {
    PipelineEpoch epoch;
    NodeId node;
    std::uint32_t stage_index = 0;  ///< of the caller
    friend bool operator==(const PeerHello&, const PeerHello&) = default;
};

/// Worker to head: the stage cannot go on.
struct StageFailed {
    PipelineEpoch epoch;
    StatusCode code = StatusCode::internal;
    std::string reason;
    friend bool operator==(const StageFailed&, const StageFailed&) = default;
};

/// What a node counted on a peer link; lists are [kLaneCount], or empty.
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

/// A worker's link to the node that its stage sends to.
struct StageLinkReport {
    PipelineEpoch epoch;
    LinkReport link;
    friend bool operator==(const StageLinkReport&, const StageLinkReport&) = default;
};

/// Both ways, once a second: alive.
struct Heartbeat {
    std::uint64_t sequence = 0;
    std::optional<StageLinkReport> next_link;  ///< from a worker that has a stage
    friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

// ---- Measuring links ---------------------------------------------------------------------------

/// Head to worker: measure your link to this node.
struct ProbeLink {
    NodeId node;
    /// Its advertised address. Empty: the head, at the address that was joined. Workers send to
    /// each other on peer links that the sender dialled, but to and from the head on the one that
    /// the worker dialled: that one is measured both ways.
    std::string address;
    bool second = false;  ///< the other node measures its link to you first
    friend bool operator==(const ProbeLink&, const ProbeLink&) = default;
};

/// First message on a peer link that only serves to be measured: who is calling.
struct ProbeHello {
    NodeId node;
    friend bool operator==(const ProbeHello&, const ProbeHello&) = default;
};

/// One direction as its sender measured it. On a measured peer link: now it is the other end's
/// turn. Worker to head: the result.
struct LinkProbe {
    NodeId from;
    NodeId to;
    bool reached = false;    ///< the other end answered in time; else the rest says nothing
    double bytes_per_s = 0;  ///< 0: faster than is worth pacing for
    std::int64_t delay_us = 0;
    std::int64_t jitter_us = 0;
    friend bool operator==(const LinkProbe&, const LinkProbe&) = default;
};

// ---- All of them -------------------------------------------------------------------------------

using Message =
    std::variant<Hello, Welcome, Refuse, Assign, LoadProgress, StageLoaded, StageStart, StageReady,
                 PeerHello, StageFailed, Heartbeat, ProbeLink, ProbeHello, LinkProbe, PartPlan,
                 ForwardedPart, ReturnedPart, RetiredPart, TokenFeedback>;

/// Name of the alternative, for errors. Static storage.
std::string_view message_name(const Message& message);

/// Bytes of a message (a finished FlatBuffer with file identifier); equal messages give equal
/// bytes. A `reason` is cut to limits::kMaxWireStringBytes; a message above
/// limits::kMaxMessageBytes gives no bytes at all (the bounds on parts keep the library far below
/// it).
Bytes encode_message(const Message& message);

/// Verifies, then reads. Errors: data_loss naming what is wrong (verifier, unknown kind, a count or
/// enum out of range, a string too long, activations whose size does not match).
Result<Message> decode_message(ByteSpan bytes);

/// Bytes of activations in a message that encode_message made. Verifies nothing.
std::size_t peek_activation_bytes(ByteSpan bytes);

}  // namespace molink
