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
#include <molink/security.h>
#include <molink/transmit.h>
#include <molink/transport.h>
#include <molink/types.h>

namespace molink {

/// Service times of a stage of the backend "timed". A decode part of b rows takes layers *
/// (decode_layer_us + b * decode_row_layer_us). The LM head adds lm_head_us + b * lm_head_row_us. A
/// prefill part takes the same formula with its own numbers; the LM head adds lm_head_us once.
struct TimedProfile {
    double decode_layer_us = 0;
    double decode_row_layer_us = 0;
    double prefill_layer_us = 0;
    double prefill_row_layer_us = 0;
    double lm_head_us = 0;
    double lm_head_row_us = 0;
};

/// Options of every node, head or worker.
struct NodeOptions {
    /// Hugging Face folder of the model. Every node has its own copy. Required.
    std::string model_dir;
    /// Name of the node in logs, tables and metrics. Default: "head" or "worker-<random>".
    std::string name;
    /// Address at which the node accepts connections. Default "tcp://127.0.0.1:*" (a free port).
    /// Addresses other than loopback, ipc and inproc need keys (`security`) or `insecure`.
    std::string listen = "tcp://127.0.0.1:*";
    /// Address that other nodes connect to, if it differs from `listen`, for example because of a
    /// relay or a container.
    std::string advertise;
    /// Permits addresses that are not loopback without keys. Traffic is then not encrypted, and
    /// whoever reaches the address can join.
    bool insecure = false;
    /// Keys of this node. With them traffic is encrypted, and only nodes join that the head knows.
    SecurityOptions security;
    WeightFormat weights = WeightFormat::native;
    /// Element type of the KV cache: f32 or f16. All nodes must agree.
    DataType kv_type = DataType::f32;
    /// Positions of one KV block. Limits: a multiple of 16, 16 .. 256. All nodes must agree.
    std::int32_t block_tokens = 16;
    /// Compute threads of each device; 0: one for each core that the process may use, and no more
    /// than its control group's quota has whole CPUs. Limits: 0 .. 256.
    std::int32_t threads = 0;
    /// Memory of each device for weights, workspace and KV; 0: 0.8 of what the machine or its
    /// control group has left, divided among the nodes that share it.
    std::int64_t memory_bytes = 0;
    /// Layers that this node must hold; not set: the partitioner decides. Only with one device.
    std::optional<LayerRange> layers;
    /// The devices: a backend and, after a colon, its device ("cpu", "cpu:0"), several with commas
    /// between them ("gpu:0,gpu:1"), or all devices of a backend ("gpu:all"). Each device becomes a
    /// node that can hold a stage of its own. With "timed" nothing is computed: stages take the
    /// times of `timed`, links carry real bytes, and the tokens are made up but predictable. Of the
    /// model folder only config.json is read. All nodes are timed, or none; "timed:0,timed:1" are
    /// two timed devices.
    std::string backend = "cpu";
    TimedProfile timed;
    /// Most detailed log level that is written.
    LogLevel log_level = LogLevel::info;
    /// Receives log lines; nullptr: no log. It must outlive the node.
    LogSink* log = nullptr;
    /// Makes the node's transport; empty: ZeroMQ. With `security` it must prove the same key pair.
    /// open() refuses a node whose factory returns nothing or throws, as for `transmit`. What the
    /// transport itself throws ends the node with an error.
    std::function<Result<std::unique_ptr<Transport>>()> transport;
    /// Makes the transmit policy of each link; empty: make_fair_transmit_policy. open() calls it
    /// once. If it fails later, that link gets the default.
    std::function<std::unique_ptr<TransmitPolicy>()> transmit;
    /// Source of time; nullptr: steady_clock(). It must outlive the node.
    const Clock* clock = nullptr;
    /// A peer is lost after this time of silence. Default 15 s. Increase it if links stall for
    /// longer.
    std::int64_t node_lost_after_us = 15'000'000;
    /// A peer is lost when its connection was reset and does not come back within this time.
    /// Default 3 s.
    std::int64_t reconnect_within_us = 3'000'000;
};

/// Options of an engine. Move-only; Engine::open takes ownership.
struct EngineOptions : NodeOptions {
    /// Nodes that form the pipeline, including the head's own stage. Default 1. Limits: 1 .. 256.
    std::int32_t stages = 1;
    /// The head also holds a stage. Default true. Without it at least one worker is needed.
    bool local_stage = true;
    /// Applies without a local stage. The last stage sends sampled tokens directly to the first
    /// stage and also to the head, which plans one step ahead. A token then does not wait for the
    /// head. Default true.
    bool direct_feedback = true;
    /// Nodes measure the links between them before the first plan, and the partitioner uses the
    /// results. Each round of pairs takes about 1 s at 100 Mbit/s and 30 ms; all rounds take at
    /// most 10 s. Default true. If false, the partitioner assumes links without delay and limit.
    bool probe_links = true;
    /// Format of activations on links: f32, f16, bf16 or int8. f32 keeps results equal bit for bit.
    DataType wire_type = DataType::f32;
    /// Maximum number of running sequences. Default 16. Limits: 1 .. 1024.
    std::int32_t max_running = 16;
    /// Maximum number of waiting requests; further requests are refused. Default 1024. Limits: 0 ..
    /// 65536.
    std::int32_t max_waiting = 1024;
    /// Maximum number of rows of one micro-batch. Default 512. Limits: 1 .. 8192.
    std::int32_t max_step_tokens = 512;
    /// Maximum number of rows of one slice of a prompt. Default 256. Limits: 1 .. max_step_tokens.
    std::int32_t max_slice_tokens = 256;
    /// Maximum number of positions of a sequence; 0: the model's context. A smaller value needs
    /// less memory.
    std::int32_t max_context = 0;
    /// Keeps the blocks of computed prompts for later prompts with the same beginning.
    bool prefix_cache = true;
    /// No part is launched while more bytes than this are queued towards the first stage. Default
    /// 32 MiB. Limits: at least 1.
    std::int64_t max_in_flight_bytes = 32 << 20;
    /// The goal of the split of the layers.
    PartitionObjective objective = PartitionObjective::throughput;
    /// Tokens of a prompt and of an answer that the split is optimised for. Defaults 512 and 128.
    /// Limits: 1 .. 1,000,000.
    std::int32_t expected_prompt_tokens = 512;
    std::int32_t expected_output_tokens = 128;
    /// Stage of the LM head. Engine::open refuses `first` for a model without tied embeddings.
    LmHead lm_head = LmHead::automatic;
    /// Accepts nodes and plans, but loads nothing. Engine::wait_ready returns when there is a plan;
    /// requests are refused. The nodes are dismissed when the engine is closed.
    bool plan_only = false;
    /// Policies. Defaults for nullptr: make_seed_cluster(stages), make_cost_partitioner and
    /// make_adaptive_scheduler.
    std::unique_ptr<Cluster> cluster;
    std::unique_ptr<Partitioner> partitioner;
    std::unique_ptr<Scheduler> scheduler;

    /// The workload that the split is optimised for.
    PartitionWorkload workload() const {
        return {max_running, expected_prompt_tokens, expected_output_tokens, max_slice_tokens};
    }
};

/// Options of a worker.
struct WorkerOptions : NodeOptions {
    /// Address of the head. Required unless security.token is set, which has it.
    std::string join;
    /// How long the worker may be without a head before it ends: until it has joined one, and after
    /// that one has gone. It dials the head all the while. Default kWaitForever. Limits:
    /// kWaitForever, or 0 .. one day. With give_up_after_us 0 the worker ends with its head.
    std::int64_t join_within_us = kWaitForever;
    std::int64_t give_up_after_us = kWaitForever;
};

}  // namespace molink
