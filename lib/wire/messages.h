#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <molink/request.h>
#include <molink/status.h>
#include <molink/types.h>

#include "base/bytes.h"

// Every message between nodes as a plain struct, and its bytes. lib/wire/molink.fbs is the schema;
// decode_message verifies before it reads, and checks every bound that the schema cannot say.
namespace molink {

// ---- Joining ----------------------------------------------------------------------------------

/// What a node measured about itself; times in us on its own device.
struct NodeProfile {
    double decode_layer_us = 0;       ///< one layer, one row
    double prefill_row_layer_us = 0;  ///< one layer, per row of a long slice
    double head_row_us = 0;           ///< LM head, one row
    std::int32_t threads = 0;
    double decode_row_layer_us = 0;  ///< one layer, every further decode row; 0: not measured
    friend bool operator==(const NodeProfile&, const NodeProfile&) = default;
};

/// Worker to head, first message on the link.
struct Hello {
    std::uint16_t protocol_major = 0;
    std::uint16_t protocol_minor = 0;
    std::string release;
    std::string node_name;
    std::string advertise;  ///< what other workers dial
    std::string host_id;    ///< equal for nodes on one machine
    std::uint64_t model_hash = 0;
    std::int32_t model_layers = 0;
    DataType weight_mode = DataType::f32;  ///< q8_0 when quantised while loading, else stored type
    DataType kv_type = DataType::f32;
    std::int32_t block_tokens = 0;
    std::uint64_t memory_bytes = 0;    ///< what it may use; shared on a host unless memory_own
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

/// Either way: not accepted, or not any more. The link ends after it.
struct Refuse {
    StatusCode code = StatusCode::internal;
    std::string reason;
    friend bool operator==(const Refuse&, const Refuse&) = default;
};

// ---- Building a pipeline -----------------------------------------------------------------------

/// Head to worker: hold this stage.
struct Assign {
    Epoch epoch;
    std::int32_t stage_index = 0;
    std::int32_t stage_count = 0;
    LayerRange layers;
    bool has_embedding = false;
    bool has_head = false;  ///< LM head: the last stage, or the first
    /// Advertise of the next stage, or, for the last one, of the first: with direct feedback and
    /// when the first has the LM head. Empty: the head holds it, or none.
    std::string next_address;
    DataType activation_type = DataType::f32;
    std::int32_t max_rows = 0;        ///< of one part
    std::int32_t max_sequences = 0;   ///< running at once
    std::int32_t max_context = 0;     ///< positions of one sequence
    std::uint64_t memory_bytes = 0;   ///< this node's share: weights, workspace and KV
    std::uint64_t max_kv_blocks = 0;  ///< no more are of use
    /// The first stage is told what was sampled; decode runs may come without their tokens.
    bool direct_feedback = false;

    bool last_stage() const { return stage_index + 1 == stage_count; }
    /// The first stage of several has the LM head: parts come back to it from the last one.
    bool parts_return() const { return has_head && !last_stage(); }
    friend bool operator==(const Assign&, const Assign&) = default;
};

/// Worker to head, while loading.
struct LoadProgress {
    Epoch epoch;
    std::uint64_t done_bytes = 0;
    std::uint64_t total_bytes = 0;
    friend bool operator==(const LoadProgress&, const LoadProgress&) = default;
};

/// Worker to head: weights are there, and so many blocks would fit.
struct StageLoaded {
    Epoch epoch;
    std::uint64_t weight_bytes = 0;
    std::uint64_t kv_block_capacity = 0;
    friend bool operator==(const StageLoaded&, const StageLoaded&) = default;
};

/// Head to worker: use this many blocks (the smallest stage's), dial the next stage.
struct StageStart {
    Epoch epoch;
    std::uint64_t kv_blocks = 0;
    friend bool operator==(const StageStart&, const StageStart&) = default;
};

/// Worker to head: pages allocated, next stage reached.
struct StageReady {
    Epoch epoch;
    friend bool operator==(const StageReady&, const StageReady&) = default;
};

/// Worker to the next worker: who is calling.
struct PeerHello {
    Epoch epoch;
    NodeId node;
    std::int32_t stage_index = 0;
    friend bool operator==(const PeerHello&, const PeerHello&) = default;
};

/// Worker to head: the stage cannot go on.
struct StageFailed {
    Epoch epoch;
    StatusCode code = StatusCode::internal;
    std::string reason;
    friend bool operator==(const StageFailed&, const StageFailed&) = default;
};

/// What a node counted on a link; lists are [kLaneCount], or empty.
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

/// Both ways, once a second: alive.
struct Heartbeat {
    std::uint64_t sequence = 0;
    std::optional<LinkReport> next_link;  ///< of a worker: to the next stage, or the head
    friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

// ---- Measuring links ---------------------------------------------------------------------------

/// Head to worker: measure your link to this node.
struct ProbeLink {
    NodeId node;
    /// Its advertise; empty: the head, at the address that was joined. Nodes send to each other on
    /// links they dialled, to and from the head on the one that the worker did: that one is
    /// measured both ways.
    std::string address;
    bool second = false;  ///< it measures its link to you; wait until it is done
    friend bool operator==(const ProbeLink&, const ProbeLink&) = default;
};

/// First message on a link that is only there to be measured: who is calling.
struct ProbeHello {
    NodeId node;
    friend bool operator==(const ProbeHello&, const ProbeHello&) = default;
};

/// One direction as its sender measured it. On a measured link: now it is the other end's turn;
/// worker to head: the result.
struct LinkProbe {
    NodeId from;
    NodeId to;
    bool reached = false;    ///< it answered in time; the rest holds only then
    double bytes_per_s = 0;  ///< 0: faster than is worth pacing for
    std::int64_t delay_us = 0;
    std::int64_t jitter_us = 0;
    friend bool operator==(const LinkProbe&, const LinkProbe&) = default;
};

// ---- Work -------------------------------------------------------------------------------------

/// Full description of a sequence; goes out once, with its first part.
struct SequenceOpen {
    SequenceId id;
    /// Every token that is known; after a preemption with those generated so far.
    std::vector<Token> prompt;
    std::int32_t prompt_count = 0;  ///< how many of them the caller gave; the rest is output
    SamplingParams sampling;        ///< its seed is always set
    std::int32_t min_tokens = 0;    ///< output tokens before which stop_tokens are not sampled
    std::vector<Token> stop_tokens;
    std::int32_t logprobs = -1;  ///< as GenerateRequest::logprobs
    bool hash_logits = false;    ///< LM head and a hash for every row
    friend bool operator==(const SequenceOpen&, const SequenceOpen&) = default;
};

/// Rows of one sequence in a part: positions [position, position + count).
struct SequenceRun {
    SequenceId id;
    std::int32_t position = 0;
    std::int32_t count = 0;
    /// Tokens of these rows; empty when they are prompt tokens that SequenceOpen told, or, towards
    /// the first stage, a decode row whose token the last stage will tell it.
    std::vector<Token> tokens;
    std::vector<BlockId> new_blocks;  ///< appended to the sequence's block table
    std::int32_t sample_count = 0;    ///< the last so many rows are sampled (0: none)
    friend bool operator==(const SequenceRun&, const SequenceRun&) = default;
};

/// What one stage spent on a part.
struct StageTime {
    std::uint32_t compute_us = 0;
    std::uint32_t wait_us = 0;  ///< from arrival to the start of computing
    friend bool operator==(const StageTime&, const StageTime&) = default;
};

/// What is computed and sent as one. Travels from stage to stage with its activations.
struct Part {
    Epoch epoch;
    StepId step;
    PartId id;
    PartKind kind = PartKind::decode;
    std::vector<SequenceOpen> opens;
    std::vector<SequenceRun> runs;
    std::vector<SequenceId> releases;    ///< sequences whose parts are all retired
    std::vector<StageTime> stage_times;  ///< [stages passed]
    DataType activation_type = DataType::f32;
    /// [rows, hidden] of activation_type; empty towards the first stage. Rows of the runs; on the
    /// way back to the LM head only those that it wants, head_rows of them.
    Bytes activations;
    /// -1, or: the part has passed the last stage and goes back to the first, which has the LM
    /// head, with so many rows; its runs name neither tokens nor blocks then.
    std::int32_t head_rows = -1;

    /// Sum of the runs' counts.
    std::int32_t row_count() const;
    bool returns() const { return head_rows >= 0; }
    friend bool operator==(const Part&, const Part&) = default;
};

/// What the stage with the LM head chose for one run.
struct SampledRun {
    SequenceId id;
    std::int32_t position = 0;                ///< of the first token below
    std::vector<Token> tokens;                ///< [sample_count], in position order
    std::vector<TokenLogprobs> logprobs;      ///< [sample_count] when asked for
    std::vector<std::uint64_t> logit_hashes;  ///< [rows of the run] when asked for
    friend bool operator==(const SampledRun&, const SampledRun&) = default;
};

/// Stage with the LM head to head: the part is done everywhere. With direct feedback from the last
/// stage to the first, too, for decode parts, with tokens alone.
struct Retire {
    Epoch epoch;
    StepId step;
    PartId part;
    std::vector<SampledRun> sampled;
    std::vector<StageTime> stage_times;  ///< [stages]
    friend bool operator==(const Retire&, const Retire&) = default;
};

using Message =
    std::variant<Hello, Welcome, Refuse, Assign, LoadProgress, StageLoaded, StageStart, StageReady,
                 PeerHello, StageFailed, Heartbeat, Part, Retire, ProbeLink, ProbeHello, LinkProbe>;

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

/// Bytes of activations in a message that encode_message made: a look, nothing is verified.
std::size_t peek_activation_bytes(ByteSpan bytes);

}  // namespace molink
