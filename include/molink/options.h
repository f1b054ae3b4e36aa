#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <molink/clock.h>
#include <molink/cluster.h>
#include <molink/log.h>
#include <molink/partitioner.h>
#include <molink/scheduler.h>
#include <molink/transmit.h>
#include <molink/transport.h>
#include <molink/types.h>

namespace molink {

enum class WeightMode : std::int32_t {
    native = 0,  ///< as stored: f32, f16 or bf16
    q8_0 = 1,    ///< matrices quantised to 8 bits while loading
};

/// Service times of a stage of the backend "timed", microseconds. A decode part of b rows takes
/// layers * (decode_layer_us + b * decode_row_layer_us), with the LM head head_us + b * head_row_us
/// more; a prefill part likewise with its own numbers and one head_us.
struct TimedProfile {
    double decode_layer_us = 0;
    double decode_row_layer_us = 0;
    double prefill_layer_us = 0;
    double prefill_row_layer_us = 0;
    double head_us = 0;
    double head_row_us = 0;
};

/// What every node, head or worker, can be told.
struct NodeOptions {
    /// Hugging Face folder; every node has its own copy. Required.
    std::string model_dir;
    /// Name in logs, tables and metrics. Default: "head" or "worker-<random>".
    std::string name;
    /// Address to accept other nodes at. Default "tcp://127.0.0.1:*" (a free port). Addresses that
    /// are not loopback, ipc or inproc are refused unless `insecure`.
    std::string listen = "tcp://127.0.0.1:*";
    /// What others dial, when it differs from `listen` (a relay or a container stands between).
    std::string advertise;
    /// Permits addresses that are not loopback although nothing is encrypted yet.
    bool insecure = false;
    WeightMode weights = WeightMode::native;
    /// Element type of the KV cache: f32 or f16. All nodes must agree.
    DataType kv_type = DataType::f32;
    /// Positions of one KV block. Multiple of 16, 16 .. 256. All nodes must agree.
    std::int32_t block_tokens = 16;
    /// Compute threads; 0: one per core the process may use. Limits: 0 .. 256.
    std::int32_t threads = 0;
    /// Memory for weights, workspace and KV; 0: 0.8 of what is available, shared by the nodes on
    /// one host.
    std::int64_t memory_bytes = 0;
    /// Layers this node must hold; not set: the partitioner decides.
    std::optional<LayerRange> layers;
    /// Kernels, and the device after a colon when it is not the first: "cpu", "cpu:0". "timed"
    /// computes nothing: stages take the times of `timed`, links carry real bytes, tokens are made
    /// up but known; of the model folder only config.json is read. All nodes are timed, or none.
    std::string backend = "cpu";
    TimedProfile timed;
    /// Largest log level that is written.
    LogLevel log_level = LogLevel::info;
    /// Receives log lines; nullptr: none. Borrowed until the node is closed.
    LogSink* log = nullptr;
    /// Makes the node's transport; empty: ZeroMQ.
    std::function<Result<std::unique_ptr<Transport>>()> transport;
    /// Makes the transmit policy of each link; empty: make_fair_transmit_policy.
    std::function<std::unique_ptr<TransmitPolicy>()> transmit;
    /// Time; nullptr: steady_clock(). Borrowed until the node is closed.
    const Clock* clock = nullptr;
    /// Silence after which a peer is lost. Default 15 s. Change it when links stall for longer.
    std::int64_t node_lost_after_us = 15'000'000;
    /// A reset connection that does not come back within this time means a lost peer. Default 3 s.
    std::int64_t reconnect_within_us = 3'000'000;
};

/// What an engine can be told. Copy-free: moved into Engine::open.
struct EngineOptions : NodeOptions {
    /// Nodes that form the pipeline, the head's own stage included. Default 1. Limits: 1 .. 256.
    std::int32_t stages = 1;
    /// The head holds a stage too. Default true; with false at least one worker is needed.
    bool local_stage = true;
    /// Without a local stage the last stage tells the first at once what it sampled, and the head,
    /// told as well, plans one step ahead: it is off the way of a token. Default true.
    bool direct_feedback = true;
    /// Nodes measure the links between them before the first plan, a second for each round of pairs
    /// at 100 Mbit/s and 30 ms, ten seconds at most; the partitioner counts with them. Default
    /// true; false: links have no delay and any rate as far as the partitioner knows.
    bool probe_links = true;
    /// Format of activations on links: f32, f16, bf16 or int8. f32 keeps results equal bit for bit.
    DataType wire_type = DataType::f32;
    /// Sequences running at once. Default 16. Limits: 1 .. 1024.
    std::int32_t max_running = 16;
    /// Requests waiting beyond that; more are refused. Default 1024. Limits: 0 .. 65536.
    std::int32_t max_waiting = 1024;
    /// Rows of one micro-batch. Default 512. Limits: 1 .. 8192.
    std::int32_t max_step_tokens = 512;
    /// Rows of one slice of a prompt. Default 256. Limits: 1 .. max_step_tokens.
    std::int32_t max_slice_tokens = 256;
    /// Positions per sequence; 0: the model's context. Smaller needs less memory.
    std::int32_t max_context = 0;
    /// Blocks of finished prompts are kept and found again by prompts that begin alike.
    bool prefix_cache = true;
    /// Bytes queued towards the first stage above which no more parts are launched. Default 32 MiB.
    /// Limits: at least 1.
    std::int64_t max_in_flight_bytes = 32 << 20;
    /// What the split of the layers shall be good at.
    PartitionObjective objective = PartitionObjective::throughput;
    /// Tokens of a prompt and of an answer that the split counts with. Defaults 512 and 128.
    /// Limits: 1 .. 1,000,000.
    std::int32_t expected_prompt_tokens = 512;
    std::int32_t expected_output_tokens = 128;
    /// Where the LM head sits. Errors: first, for a model without tied embeddings.
    LmHead lm_head = LmHead::automatic;
    /// Take in nodes and plan, load nothing: Engine::wait_ready returns once there is a plan, and
    /// requests are refused. The nodes are dismissed when the engine is closed.
    bool plan_only = false;
    /// Policies; nullptr: make_seed_cluster(stages), make_cost_partitioner,
    /// make_adaptive_scheduler.
    std::unique_ptr<Cluster> cluster;
    std::unique_ptr<Partitioner> partitioner;
    std::unique_ptr<Scheduler> scheduler;

    /// What the split counts with.
    PartitionWorkload workload() const {
        return {max_running, expected_prompt_tokens, expected_output_tokens, max_slice_tokens};
    }
};

/// What a worker can be told.
struct WorkerOptions : NodeOptions {
    /// The head's address. Required.
    std::string join;
    /// How long to go on dialling a head that does not answer. Default 60 s.
    std::int64_t join_within_us = 60'000'000;
};

}  // namespace molink
