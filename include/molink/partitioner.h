#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <molink/export.h>
#include <molink/link.h>
#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// A node as a partitioner sees it; times measured on its own device.
struct PartitionNode {
    NodeId id;
    std::string name;
    std::int64_t memory_bytes = 0;    ///< for weights, workspace and KV together
    double decode_layer_us = 0;       ///< one layer, one row
    double prefill_row_layer_us = 0;  ///< one layer, per row of a long slice
    double head_row_us = 0;           ///< LM head, one row
    std::optional<LayerRange> fixed;  ///< the operator's override; such a node is never left out
    /// One layer, every further row of a decode part; 0: as a row of a slice.
    double decode_row_layer_us = 0;
};

/// One direction between two nodes. NodeId 0 is the head, also where it holds no stage.
struct PartitionLink {
    NodeId from;
    NodeId to;
    LinkModel model;
};

/// Sizes of the model, in bytes as the nodes will hold them.
struct PartitionModel {
    std::int32_t layers = 0;
    std::int64_t layer_bytes = 0;
    std::int64_t embedding_bytes = 0;
    std::int64_t head_bytes = 0;            ///< LM head, also when tied (it is packed apart)
    std::int64_t workspace_bytes = 0;       ///< per node
    std::int64_t kv_layer_block_bytes = 0;  ///< one KV block of one layer
    std::int64_t min_blocks = 0;            ///< the pipeline is of no use with fewer
    std::int64_t max_blocks = 0;            ///< more are of no use; 0: every block is
    std::int32_t block_tokens = 16;         ///< positions of one KV block
    std::int64_t activation_row_bytes = 0;  ///< one row from stage to stage, see below
    std::int64_t token_row_bytes = 64;      ///< one row to the head and from it to the first stage
    bool tied_embeddings = false;           ///< the LM head may be on the first stage
};

/// Sets min_blocks and max_blocks for up to `max_running` sequences of up to `context` positions;
/// block_tokens must be set.
MOLINK_EXPORT void set_kv_bounds(PartitionModel& model, std::int32_t context,
                                 std::int32_t max_running);

/// Bytes of a row of `hidden` activations that goes from stage to stage as `wire_type`; 0 for types
/// that activations cannot have.
MOLINK_EXPORT std::int64_t activation_row_bytes(DataType wire_type, std::int32_t hidden);

/// What the pipeline is expected to do.
struct PartitionWorkload {
    std::int32_t running = 16;  ///< sequences at once
    std::int32_t prompt_tokens = 512;
    std::int32_t output_tokens = 128;
    std::int32_t slice_tokens = 256;  ///< of a prompt, computed as one
};

/// What a partition shall be good at.
enum class PartitionObjective : std::int32_t {
    /// Many sequences, prompts and output as the workload mixes them: the slowest stage or link as
    /// fast as possible.
    throughput = 0,
    latency = 1,  ///< one sequence: its token's way round the ring as short as possible
};

/// "throughput" or "latency". Static storage.
MOLINK_EXPORT std::string_view partition_objective_name(PartitionObjective objective);
/// Errors: invalid_argument with the names there are.
MOLINK_EXPORT Result<PartitionObjective> parse_partition_objective(std::string_view name);

/// Where the LM head sits. It costs in decode, hardly in prefill. With tied embeddings it may be on
/// the first stage; then the way back from the last one carries a row for every token.
enum class LmHead : std::int32_t {
    automatic = 0,  ///< the partitioner decides
    last = 1,       ///< on the last stage
    first = 2,      ///< on the first stage; only with tied embeddings
};

/// "auto", "last" or "first". Static storage.
MOLINK_EXPORT std::string_view lm_head_name(LmHead place);
/// Errors: invalid_argument with the names there are.
MOLINK_EXPORT Result<LmHead> parse_lm_head(std::string_view name);

/// The ring is head -> first stage -> ... -> last stage -> head; rows of activations between
/// stages, tokens to the head and from it. With the LM head on the first stage it is head -> first
/// stage -> ... -> last stage -> first stage -> head.
struct PartitionInput {
    PartitionModel model;
    std::vector<PartitionNode> nodes;
    std::vector<PartitionLink> links;  ///< those not named: no delay, unlimited
    PartitionWorkload workload;
    PartitionObjective objective = PartitionObjective::throughput;
    bool pin_first = false;    ///< nodes.front() holds the first stage and is never left out
    bool fixed_order = false;  ///< stages follow the order of `nodes`
    bool keep_all = false;     ///< no node may be left out
    LmHead lm_head = LmHead::automatic;
};

/// What one node holds, and what is predicted for it.
struct StagePlan {
    NodeId node;
    LayerRange layers;
    bool has_embedding = false;
    bool has_head = false;
    std::int64_t weight_bytes = 0;
    std::int64_t kv_blocks = 0;  ///< that would fit, at most max_blocks
    double decode_us = 0;        ///< one row
    double batch_us = 0;         ///< a decode micro-batch of PartitionPrediction::batch_rows
    double slice_us = 0;         ///< one slice of a prompt
    /// One row onto the link to the next; of the last: a token to the head, or a row back to the
    /// first when the LM head is there.
    double link_us = 0;
    double link_batch_us = 0;        ///< a decode micro-batch onto that link
    double link_slice_us = 0;        ///< one slice of a prompt onto that link
    std::int64_t link_delay_us = 0;  ///< of that link
};

/// What sets the pace.
enum class PartitionLimit : std::int32_t {
    stage = 0,    ///< computing on the stage `limit_stage`
    link = 1,     ///< the link from the stage `limit_stage` to the next
    latency = 2,  ///< the way round the ring: more sequences would cost nothing
    kv = 3,       ///< memory for KV on the stage `limit_stage`: fewer run than wanted
};

struct PartitionPrediction {
    double tokens_per_s = 0;         ///< all sequences, decoding
    double tpot_us = 0;              ///< of one sequence, with all running
    double ttft_us = 0;              ///< of a prompt, nothing else running
    double ring_us = 0;              ///< one token of one sequence round the ring
    std::int32_t running = 0;        ///< sequences that KV has room for, at most those wanted
    std::int32_t micro_batches = 0;  ///< under way at once
    std::int32_t batch_rows = 0;     ///< of one micro-batch
    PartitionLimit limit = PartitionLimit::stage;
    std::size_t limit_stage = 0;
    std::string limit_text;  ///< "stage 'b'", "link 'a' -> 'b'"
};

/// A node that the plan does without.
struct LeftOut {
    NodeId node;
    std::string reason;  ///< "with it the slowest stage takes 31.0 ms instead of 22.4 ms"
};

struct PartitionPlan {
    std::vector<StagePlan> stages;  ///< in pipeline order, every stage at least one layer
    std::vector<LeftOut> left_out;  ///< in the order of the input
    bool lm_head_first = false;     ///< the LM head is on the first of several stages
    std::int64_t kv_blocks = 0;     ///< of the smallest stage
    /// The slowest stage or link for planned_rows(input) tokens of output and their share of the
    /// workload's prompts: what `throughput` minimises.
    double slowest_us = 0;
    PartitionPrediction predicted;
};

/// A plan and what it was made from.
struct PartitionReport {
    PartitionInput input;
    PartitionPlan plan;  ///< no stages while there is none
};

/// Decode rows of one micro-batch when every node has one under way; plans are compared at this.
MOLINK_EXPORT std::int32_t planned_rows(const PartitionInput& input);

/// Splits the layers over nodes. Pure policy.
/// Thread: the head's loop. Deterministic.
class MOLINK_EXPORT Partitioner {
public:
    virtual ~Partitioner();
    /// Short name for logs and metrics. Static storage.
    virtual std::string_view name() const = 0;
    /// A plan needs nodes and layers only; complete_partition() fills in the rest.
    /// Errors: resource_exhausted when no split fits (with needed and available bytes),
    /// invalid_argument when the overrides contradict each other (names and ranges).
    virtual Result<PartitionPlan> partition(const PartitionInput& input) = 0;
};

struct PartitionerOptions {
    std::optional<PartitionObjective> objective;  ///< not set: what the input asks for
};

/// Equal numbers of layers over all nodes in the order given, overrides and memory respected. The
/// LM head is on the last stage unless the input asks for the first.
MOLINK_EXPORT std::unique_ptr<Partitioner> make_even_partitioner();

/// The default. Chooses nodes, their order, the layers of each and, with tied embeddings, the place
/// of the LM head, under every node's memory; among equals the LM head is on the last stage.
/// `throughput`: least slowest stage or link; among plans within 2 % the one whose smallest stage
/// has the most KV blocks; among those the shortest way round the ring, where a node is kept as
/// long as all that are kept lengthen it by at most a tenth. `latency`: the shortest way round the
/// ring. Exact over all choices up to 10 nodes (work of 10 nodes and 160 layers), and in a fixed
/// order for any number. Beyond, the order is a heuristic's: insertion, then local search (2-opt,
/// moving up to three neighbours, exchange) over at most 30,000 orders; the layers for that order
/// are exact.
MOLINK_EXPORT std::unique_ptr<Partitioner> make_cost_partitioner(
    const PartitionerOptions& options = {});

/// "even" or "cost". Errors: invalid_argument with the names there are.
MOLINK_EXPORT Result<std::unique_ptr<Partitioner>> make_partitioner(
    std::string_view name, const PartitionerOptions& options = {});

/// Computes from the nodes, layers and lm_head_first of `plan` everything else: memory, times,
/// prediction; nodes without a stage that it does not mention are listed as left out. Errors:
/// internal when a stage's node is unknown.
MOLINK_EXPORT Status complete_partition(const PartitionInput& input, PartitionPlan& plan);

/// Checks a plan against its input: nodes, order, coverage, overrides, memory. What the head does
/// with the plan of any partitioner.
MOLINK_EXPORT Status check_partition(const PartitionInput& input, const PartitionPlan& plan);

}  // namespace molink
