#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <molink/device_profile.h>
#include <molink/export.h>
#include <molink/link.h>
#include <molink/model_spec.h>
#include <molink/sim.h>
#include <molink/status.h>
#include <molink/types.h>

// Studies: how fast would a cluster serve a load? Head, workers, channel, engine and policies are
// the code that serves; devices take the time of a profile, links that of a model, and activations
// count for their bytes without being moved. Unlike a scenario nothing breaks. Target molink::sim.
namespace molink {

/// A machine of a study. The first one is the head.
struct StudyNode {
    std::string name;
    DeviceProfile device;
    double memory_gib = 0;             ///< for weights, workspace and KV; 0: 0.9 of the device's
    std::string host;                  ///< nodes that name the same one share its cores; or empty
    std::optional<LayerRange> layers;  ///< it must hold these; not set: StudyCluster::split decides
};

/// A machine with several nodes on it: at most `cores` of their stages compute at a time, in turns
/// of 3 ms. One not described has a single core.
struct StudyHost {
    std::string name;
    std::int32_t cores = 1;
    double part_us = 0;     ///< of a core, for handing on a part: loops, sockets, copies
    double contention = 1;  ///< computing takes so much longer while all other cores are busy, too
};

/// Machines and links, and how the engine is set.
struct StudyCluster {
    std::vector<StudyNode> nodes;
    std::vector<StudyHost> hosts;
    LinkModel link{12.5e6, 10'000, 0};  ///< each direction between two nodes not named in `links`
    std::vector<SimLink> links;
    std::string split = "cost";  ///< "cost" or "even": the partitioner
    /// The cluster policy: "static", these nodes in this order, or "seed", which lets the
    /// partitioner choose the order.
    std::string membership = "static";
    std::string lm_head = "auto";      ///< "auto", "last" or, with tied embeddings, "first" stage
    bool head_stage = true;            ///< the head holds a stage too
    bool direct_feedback = true;       ///< as EngineOptions::direct_feedback
    bool probe_links = true;           ///< as EngineOptions::probe_links
    std::int64_t max_frame_bytes = 0;  ///< 0: 2 ms of the slowest link, 16 to 256 KiB
    std::int32_t max_running = 256;
    std::int32_t max_step_tokens = 512;
    std::int32_t max_slice_tokens = 256;
    std::int32_t block_tokens = 16;
};

/// A number of tokens by quantiles: pairs of share (from 0, to 1, rising) and tokens, linear
/// between them. One pair: always the same.
using TokenQuantiles = std::vector<std::pair<double, double>>;

/// One request of a trace.
struct StudyRequest {
    double arrival_s = 0;
    std::int32_t prompt_tokens = 0;
    std::int32_t output_tokens = 0;
};

/// What is asked for, from the moment the cluster serves.
struct StudyWorkload {
    double poisson_per_s = 0;         ///< independent arrivals; 0: streams or bursts
    std::int32_t streams = 0;         ///< so many at any time: one ends, the next begins; 0: bursts
    std::int32_t burst = 0;           ///< so many at once ...
    double burst_every_s = 1;         ///< ... every so often
    std::string trace_file;           ///< named by the file; whoever reads it fills `trace`
    std::vector<StudyRequest> trace;  ///< when not empty, all of the workload
    TokenQuantiles prompt{{0, 1024}};
    TokenQuantiles output{{0, 128}};
    std::int32_t count = 100;
    std::uint64_t seed = 1;
    /// From when the cluster serves to the first arrival: links measure themselves meanwhile.
    double settle_s = 1.5;
    double stop_s = 0;  ///< the study ends then, whatever is under way; 0: with the last token
};

/// What is compared.
struct StudyOptions {
    std::string model = "llama-2-7b";
    std::optional<ModelSpec> spec;  ///< in the place of `model`
    std::string weights = "f16";    ///< "f16", or "q4": 4.5 bits in the layers, the rest f16
    std::string scheduler = "adaptive";
    std::string transmit = "fair";
    /// "f32", "f16", "bf16", "int8", or "f16x2": hidden state and residual sent apart, as the
    /// published system does.
    std::string wire = "f16";
    bool token_times = false;  ///< keep when each token came
    double trace_limit_s = 0;  ///< of the timeline, from the first arrival; 0: none is kept
};

/// A study with nothing left to choose but its policies.
struct StudyCase {
    StudyCluster cluster;
    StudyWorkload workload;
    StudyOptions options;
};

/// Shares of a set of times.
struct TimeQuantiles {
    std::uint64_t count = 0;
    double mean_us = 0;
    double p50_us = 0;
    double p90_us = 0;
    double p99_us = 0;
    double max_us = 0;
};

struct StageUse {
    std::string node;
    LayerRange layers;
    double busy = 0;     ///< share of the time, waiting for a shared core included
    double wait_us = 0;  ///< a part in the stage's queue, mean
    std::uint64_t parts = 0;
};

/// One direction of a link.
struct LinkUse {
    std::string from;
    std::string to;
    double busy = 0;                            ///< share of the time
    double lane_busy[kLaneCount] = {};          ///< by Lane; acknowledgements count as control
    std::uint64_t lane_bytes[kLaneCount] = {};  ///< with frame headers
};

/// A bar of the timeline.
struct TimelineEvent {
    std::string node;
    std::string row;   ///< "stage", "requests" or "to <node>"
    std::string name;  ///< "decode 24 rows", "prefill lane", "request 7"
    std::int64_t begin_us = 0;
    std::int64_t end_us = 0;
};

/// One request and when its tokens came, after the first arrival.
struct StudyTokens {
    std::int64_t arrival_us = 0;
    std::vector<std::int64_t> token_us;
};

/// What came of one run. Times are virtual and begin with the first arrival.
struct StudyReport {
    std::string failure;  ///< empty: every request has ended with all its tokens, or was stopped
    std::string model;
    std::string weights;
    /// Policies: the name that was asked for, or name() of one that came with SimPolicies.
    std::string scheduler;
    std::string transmit;
    std::string partitioner;
    std::string cluster;
    std::string wire;
    std::uint64_t seed = 0;    ///< of the workload
    LinkModel link;            ///< StudyCluster::link
    double poisson_per_s = 0;  ///< asked for
    std::uint64_t requests = 0;
    std::uint64_t prompt_tokens = 0;
    std::uint64_t output_tokens = 0;
    double seconds = 0;  ///< from the first arrival to the last token
    double output_tokens_per_s = 0;
    TimeQuantiles ttft;  ///< arrival to first token
    TimeQuantiles tpot;  ///< per request: mean gap after the first token
    TimeQuantiles gap;   ///< between two tokens of a request
    std::vector<StageUse> stages;
    std::vector<LinkUse> links;         ///< those that carried anything
    double decode_parts_in_flight = 0;  ///< mean
    double prefill_parts_in_flight = 0;
    std::int32_t max_micro_batches = 0;
    std::uint64_t preemptions = 0;
    std::uint64_t plans = 0;          ///< steps that the scheduler planned
    std::uint64_t plans_refused = 0;  ///< of them, those that the check refused
    /// Steps that the built-in policy planned, because the scheduler's plan was refused or stayed
    /// empty with nothing under way.
    std::uint64_t plans_by_fallback = 0;
    std::int64_t kv_blocks = 0;
    std::uint64_t frames = 0;
    std::uint64_t token_digest = 0;  ///< of every token; the same under every policy
    std::uint64_t digest = 0;        ///< of every token and its time
    std::vector<TimelineEvent> timeline;
    std::vector<StudyTokens> token_times;  ///< by arrival, when asked for
};

/// A model by name ("llama-2-7b", "llama-2-13b", "llama-2-70b", "160m", "1b"). Errors: not_found.
MOLINK_EXPORT Result<ModelSpec> study_model(std::string_view name);

/// Read JSON; README.md and examples/studies show the keys. Errors: invalid_argument naming the
/// key, its value and what is permitted.
MOLINK_EXPORT Result<StudyCluster> parse_study_cluster(std::string_view json);
MOLINK_EXPORT Result<StudyWorkload> parse_study_workload(std::string_view json);
/// `{"name", "layers", "hidden", "heads", "kv_heads", "ffn", "vocabulary", "tied"}`
MOLINK_EXPORT Result<ModelSpec> parse_study_model(std::string_view json);
/// CSV with the header arrival_s,prompt_tokens,output_tokens. Errors: invalid_argument, the line.
MOLINK_EXPORT Result<std::vector<StudyRequest>> parse_study_trace(std::string_view csv);

/// Runs one study on the caller's thread. Errors: invalid_argument, resource_exhausted (the model
/// does not fit).
MOLINK_EXPORT Result<StudyReport> run_study(const StudyCluster& cluster,
                                            const StudyWorkload& workload,
                                            const StudyOptions& options,
                                            const SimPolicies& policies = {});

/// A study with every option drawn from the seed, small enough for a second: one to six nodes, of
/// GPUs or CPUs, and a load of up to 96 requests. The scheduler is the default.
MOLINK_EXPORT StudyCase swarm_study(std::uint64_t seed);

/// Reports as one JSON document.
MOLINK_EXPORT std::string study_json(const std::vector<StudyReport>& reports);
/// Reports as CSV: a header, then one line for each; all numbers but those of single nodes and
/// links.
MOLINK_EXPORT std::string study_csv(const std::vector<StudyReport>& reports);
/// A mean and how far it is uncertain: mean - half .. mean + half covers the true one with 95 %.
struct MeanInterval {
    double mean = 0;
    double half = 0;  ///< 0 for a single value
};
/// Student's interval for independent values that are about normally distributed: half = t s /
/// sqrt(n), with s the sample's standard deviation and t the 97.5 % quantile of the t distribution
/// with n - 1 degrees of freedom. `values`: 1 or more.
MOLINK_EXPORT MeanInterval mean_interval(std::span<const double> values);
/// A timeline for chrome://tracing: a process per node, a row for its stage and each link.
MOLINK_EXPORT std::string study_timeline_json(const StudyReport& report);

}  // namespace molink
