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

/// A node as a partitioner sees it. Its times are measured on its own device, for one layer of the
/// model; PartitionLayer says how the other layers compare with that one.
struct PartitionNode {
    NodeId id;
    std::string name;
    std::int64_t memory_bytes = 0;    ///< for weights, workspace, state and KV together
    double decode_layer_us = 0;       ///< the measured layer, one row
    double prefill_row_layer_us = 0;  ///< the measured layer, per row of a long slice
    double lm_head_row_us = 0;        ///< LM head, one row
    /// Layers that the operator fixed for this node. Such a node is never left out.
    std::optional<LayerRange> fixed;
    /// The measured layer, for each further row of a decode part; 0: prefill_row_layer_us.
    double decode_row_layer_us = 0;
};

/// One direction between two nodes. NodeId 0 is the head, whether or not it holds a stage.
struct PartitionLink {
    NodeId from;
    NodeId to;
    LinkModel model;
};

/// One layer of the model: bytes as a node will hold them, and times relative to the layer that
/// nodes measure.
struct PartitionLayer {
    std::int64_t weight_bytes = 0;
    std::int64_t kv_block_bytes = 0;  ///< one KV block; 0: the layer uses no KV blocks
    /// What the layer keeps for one sequence of any length: the state of a recurrent layer, or the
    /// keys and values within a sliding window.
    std::int64_t state_bytes = 0;
    double decode_cost = 1;   ///< time of a decode part
    double prefill_cost = 1;  ///< time of a slice of a prompt

    friend bool operator==(const PartitionLayer&, const PartitionLayer&) = default;
};

/// Sizes of the model, in bytes as the nodes will hold them.
struct PartitionModel {
    std::vector<PartitionLayer> layers;
    std::int64_t embedding_bytes = 0;
    std::int64_t lm_head_bytes = 0;         ///< also with tied embeddings, as a second copy
    std::int64_t workspace_bytes = 0;       ///< per node
    std::int64_t min_blocks = 0;            ///< a pipeline with fewer KV blocks is useless
    std::int64_t max_blocks = 0;            ///< further KV blocks are useless; 0: no limit
    std::int32_t max_sequences = 0;         ///< sequences that hold state at the same time
    std::int32_t block_tokens = 16;         ///< positions of one KV block
    std::int64_t activation_row_bytes = 0;  ///< one row between stages; see activation_row_bytes()
    std::int64_t token_row_bytes = 64;      ///< one row from or to the head
    bool tied_embeddings = false;           ///< the LM head may be on the first stage

    std::int32_t layer_count() const { return static_cast<std::int32_t>(layers.size()); }
};

/// Sets min_blocks, max_blocks and max_sequences for up to `max_running` sequences of up to
/// `context` positions. block_tokens must be set.
MOLINK_EXPORT void set_kv_bounds(PartitionModel& model, std::int32_t context,
                                 std::int32_t max_running);

/// Bytes of one row of `hidden` activations between stages, in the format `wire_type`; 0 for types
/// that activations cannot have.
MOLINK_EXPORT std::int64_t activation_row_bytes(DataType wire_type, std::int32_t hidden);

/// What the pipeline is expected to do.
struct PartitionWorkload {
    std::int32_t running = 16;  ///< running sequences
    std::int32_t prompt_tokens = 512;
    std::int32_t output_tokens = 128;
    std::int32_t slice_tokens = 256;  ///< tokens of a prompt that are computed together
};

/// What a partition is optimised for.
enum class PartitionObjective : std::int32_t {
    /// For many sequences, with prompts and output in the workload's proportion: minimises the time
    /// of the slowest stage or link.
    throughput = 0,
    latency = 1,  ///< for one sequence: minimises a token's time round the ring
};

/// "throughput" or "latency". Static storage.
MOLINK_EXPORT std::string_view partition_objective_name(PartitionObjective objective);
/// Errors: invalid_argument, listing the permitted names.
MOLINK_EXPORT Result<PartitionObjective> parse_partition_objective(std::string_view name);

/// Place of the LM head. It takes time in decode and very little in prefill. With tied embeddings
/// it may be on the first stage; the last stage then sends a row of activations back for each
/// token.
enum class LmHead : std::int32_t {
    automatic = 0,  ///< the partitioner decides
    last = 1,       ///< on the last stage
    first = 2,      ///< on the first stage; only with tied embeddings
};

/// "auto", "last" or "first". Static storage.
MOLINK_EXPORT std::string_view lm_head_name(LmHead place);
/// Errors: invalid_argument, listing the permitted names.
MOLINK_EXPORT Result<LmHead> parse_lm_head(std::string_view name);

/// Input of a partitioner. The ring is head -> first stage -> ... -> last stage -> head: rows of
/// activations travel between stages, and tokens from and to the head. With the LM head on the
/// first stage the ring is head -> first stage -> ... -> last stage -> first stage -> head.
struct PartitionInput {
    PartitionModel model;
    std::vector<PartitionNode> nodes;
    std::vector<PartitionLink> links;  ///< a link that is not listed has no delay and no limit
    PartitionWorkload workload;
    PartitionObjective objective = PartitionObjective::throughput;
    bool pin_first = false;    ///< nodes.front() holds the first stage and is never left out
    bool fixed_order = false;  ///< stages follow the order of `nodes`
    bool keep_all = false;     ///< no node may be left out
    LmHead lm_head = LmHead::automatic;
};

/// The stage of one node and its prediction.
struct StagePlan {
    NodeId node;
    LayerRange layers;
    bool has_embedding = false;
    bool has_lm_head = false;
    std::int64_t weight_bytes = 0;
    std::int64_t kv_blocks = 0;       ///< KV blocks that fit, at most max_blocks
    std::int64_t kv_block_bytes = 0;  ///< one KV block, summed over the layers
    std::int64_t state_bytes = 0;     ///< state of max_sequences sequences
    double decode_us = 0;             ///< one row
    double batch_us = 0;              ///< a decode micro-batch of PartitionPrediction::batch_rows
    double slice_us = 0;              ///< one slice of a prompt
    /// Time to put one row on the link to the next stage. For the last stage: a token for the head,
    /// or a row for the first stage when the LM head is there.
    double link_us = 0;
    double link_batch_us = 0;        ///< time to put a decode micro-batch on that link
    double link_slice_us = 0;        ///< time to put one slice of a prompt on that link
    std::int64_t link_delay_us = 0;  ///< propagation delay of that link
};

/// What limits the throughput.
enum class PartitionLimit : std::int32_t {
    stage = 0,    ///< computing on the stage `limit_stage`
    link = 1,     ///< the link from the stage `limit_stage` to the next one
    latency = 2,  ///< time round the ring: further sequences would cost nothing
    kv = 3,       ///< memory for KV on the stage `limit_stage`: fewer sequences run than wanted
};

struct PartitionPrediction {
    double tokens_per_s = 0;   ///< all sequences together, decoding
    double tpot_us = 0;        ///< of one sequence while all are running
    double ttft_us = 0;        ///< of a prompt while nothing else is running
    double ring_us = 0;        ///< one token of a sequence that runs alone
    std::int32_t running = 0;  ///< sequences that fit into KV memory, at most workload.running
    std::int32_t micro_batches = 0;  ///< under way at once
    std::int32_t batch_rows = 0;     ///< rows of one micro-batch
    PartitionLimit limit = PartitionLimit::stage;
    std::size_t limit_stage = 0;
    std::string limit_text;  ///< "stage 'b'", "link 'a' -> 'b'"
};

/// A node that holds no stage in the plan.
struct LeftOut {
    NodeId node;
    std::string reason;  ///< "with it the slowest stage takes 31.0 ms instead of 22.4 ms"
};

struct PartitionPlan {
    std::vector<StagePlan> stages;  ///< in pipeline order; every stage has at least one layer
    std::vector<LeftOut> left_out;  ///< in the order of the input
    bool lm_head_first = false;     ///< the LM head is on the first of several stages
    std::int64_t kv_blocks = 0;     ///< KV blocks of the smallest stage
    /// Time of the slowest stage or link for planned_rows(input) tokens of output and their share
    /// of the workload's prompts. `throughput` minimises it.
    double slowest_us = 0;
    PartitionPrediction predicted;
};

/// A plan and the input it was made from.
struct PartitionReport {
    PartitionInput input;
    PartitionPlan plan;  ///< without stages while there is no plan
};

/// Decode rows of one micro-batch when every node has one micro-batch under way. Plans are compared
/// at this number.
MOLINK_EXPORT std::int32_t planned_rows(const PartitionInput& input);

/// Splits the layers over nodes. Pure policy. Deterministic. An exception counts as an error.
/// Thread: the head's loop.
class MOLINK_EXPORT Partitioner {
public:
    virtual ~Partitioner();
    /// Short name for logs and metrics. Static storage.
    virtual std::string_view name() const = 0;
    /// A plan needs only nodes and layers; complete_partition() fills in the rest.
    /// Errors: resource_exhausted when no split fits (with needed and available bytes),
    /// invalid_argument when the input contradicts itself (with names and ranges).
    virtual Result<PartitionPlan> partition(const PartitionInput& input) = 0;
};

struct PartitionerOptions {
    std::optional<PartitionObjective> objective;  ///< not set: the objective of the input
};

/// Gives all nodes the same number of layers, in the order of the input, as far as overrides and
/// memory permit. The LM head is on the last stage unless the input asks for the first.
MOLINK_EXPORT std::unique_ptr<Partitioner> make_even_partitioner();

/// The default. Chooses the nodes, their order, the layers of each and, with tied embeddings, the
/// place of the LM head, within the memory of every node. Between equal plans the one with the LM
/// head on the last stage wins.
/// `throughput`: minimises the slowest stage or link; among plans within 2 % of that, maximises the
/// KV blocks of the smallest stage; among those, takes the shortest time round the ring. The last
/// criterion keeps nodes as long as they lengthen that time by at most a tenth in total. `latency`:
/// minimises the time round the ring.
/// The result is exact over all choices for up to 10 nodes (up to the work of 10 nodes and 160
/// layers). With a fixed order it is exact for any number of nodes. For more nodes a heuristic
/// finds the order: insertion, then local search (2-opt, moves of up to three neighbours,
/// exchanges) over at most 30,000 orders; the layers are exact for that order.
MOLINK_EXPORT std::unique_ptr<Partitioner> make_cost_partitioner(
    const PartitionerOptions& options = {});

/// "even" or "cost". Errors: invalid_argument, listing the permitted names.
MOLINK_EXPORT Result<std::unique_ptr<Partitioner>> make_partitioner(
    std::string_view name, const PartitionerOptions& options = {});

/// Computes everything that follows from the nodes, the layers and lm_head_first of `plan`: memory,
/// times, prediction. Nodes that hold no stage and are not listed in left_out are added there.
/// Errors: internal when the node of a stage is unknown.
MOLINK_EXPORT Status complete_partition(const PartitionInput& input, PartitionPlan& plan);

/// Checks a plan against its input: nodes, order, coverage, fixed layers and memory. The head
/// checks every plan with this function.
MOLINK_EXPORT Status check_partition(const PartitionInput& input, const PartitionPlan& plan);

}  // namespace molink
