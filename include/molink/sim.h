#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <molink/cluster.h>
#include <molink/export.h>
#include <molink/link.h>
#include <molink/metrics.h>
#include <molink/partitioner.h>
#include <molink/scheduler.h>
#include <molink/status.h>
#include <molink/transmit.h>

// The deterministic simulator, target molink::sim. Head, workers, channel, cluster, engine and
// policies are the code that serves; the clock, the transport and the stage's computing are
// replaced. The same scenario gives the same run on every machine. Nothing here starts a thread or
// waits: a simulation runs on the caller's thread as fast as it can, and several may run at once.
namespace molink {

/// A machine with one process. The first one of a scenario is the head. A process with several
/// devices makes as many nodes of the cluster: "<name>/0", "<name>/1", ...
struct SimNode {
    std::string name;
    double decode_us = 100;       ///< one row through one layer
    double prefill_row_us = 20;   ///< one row of a slice through one layer
    std::int64_t kv_blocks = 64;  ///< that fit beside its layers, on each device
    std::int32_t devices = 1;     ///< each may hold a stage
};

/// One direction between two nodes; those not named use SimScenario::link.
struct SimLink {
    std::string from;
    std::string to;
    LinkModel model;
};

enum class SimFaultKind : std::int32_t {
    crash = 0,   ///< the node's process ends; its connections are reset; it restarts afterwards
    vanish = 1,  ///< the node's machine ends without a word; it restarts afterwards
    freeze = 2,  ///< the node does nothing for a while
    slow = 3,    ///< the node computes `factor` times slower for a while
    stall = 4,   ///< from `node` to `other` nothing arrives for a while; nothing is lost
    cut = 5,     ///< connections between `node` and `other` are reset and refused for a while
    /// Of the frames from `node` to `other` some overtake others and some arrive twice, for a
    /// while.
    disorder = 6,
    damage = 7,   ///< the node's files are damaged; stages that it loads meanwhile compute wrongly
    hang = 8,     ///< the node's stages compute nothing for a while, though the node is alive
    swallow = 9,  ///< parts that reach the node's stages meanwhile are never computed
};
inline constexpr std::size_t kSimFaultKinds = 10;

/// "crash", "vanish", ... Static storage.
MOLINK_EXPORT std::string_view sim_fault_name(SimFaultKind kind);

/// Something that goes wrong at `at_us` and is over after `duration_us`. The head itself can only
/// freeze and be slow.
struct SimFault {
    SimFaultKind kind = SimFaultKind::crash;
    std::int64_t at_us = 0;
    std::int64_t duration_us = 0;
    std::string node;
    std::string other;  ///< stall, cut, disorder
    double factor = 1;  ///< slow
};

/// What callers do; drawn from the scenario's seed.
struct SimWorkload {
    std::int32_t requests = 20;
    std::int64_t begin_us = 2'000'000;   ///< of the arrivals; the pipeline needs time to come up
    std::int64_t spread_us = 2'000'000;  ///< arrivals are uniform over this time
    std::int32_t min_prompt = 1;
    std::int32_t max_prompt = 60;
    std::int32_t min_output = 1;
    std::int32_t max_output = 24;
    double shared_prefix = 0.4;  ///< share of prompts that begin like another
    double follow_up = 0.2;      ///< share that go on from what a running request has said so far
    double cancelled = 0.15;     ///< share that are cancelled at some time
    double several = 0.1;        ///< share that ask for 2 or 3 completions
    double sampled = 0.6;        ///< share with random sampling options; the rest are greedy
    double stop_strings = 0.1;   ///< share with stop strings
    double hashed = 0.2;         ///< share whose logit hashes are compared too
};

/// A whole run. Times are virtual, from 0.
struct SimScenario {
    std::uint64_t seed = 1;
    std::vector<SimNode> nodes{SimNode{"head"}, SimNode{"worker-1"}};
    LinkModel link{12.5e6, 10'000, 0};
    std::vector<SimLink> links;
    std::vector<SimFault> faults;
    SimWorkload workload;
    /// Names of the nodes with a stage, in the order of the ring. Empty: any order in which the
    /// head's stage, if it has one, is the first.
    std::vector<std::string> order;
    std::int32_t layers = 4;
    std::int32_t hidden = 2;  ///< floats of a row on the wire, at least 2
    bool local_stage = true;
    bool direct_feedback = true;  ///< as EngineOptions::direct_feedback
    /// "auto", "last" or "first" stage; the embeddings of what is simulated are tied, unless a
    /// study's model says otherwise.
    std::string lm_head = "auto";
    bool probe_links = true;  ///< as EngineOptions::probe_links
    bool keys = false;        ///< nodes have keys, and the head knows those of its workers
    std::int32_t max_running = 8;
    std::int32_t max_waiting = 1024;
    std::int32_t max_step_tokens = 64;
    std::int32_t max_slice_tokens = 16;
    std::int32_t block_tokens = 8;
    std::int32_t max_context = 256;
    bool prefix_cache = true;
    /// Share of decode runs that carry drafts, most of them right. 0: none.
    double drafts = 0;
    /// Share of the values behind a layer that are not a number. Which rows they hit follows from
    /// the tokens alone. A request must end with an error at its first such row, and no other may.
    double overflows = 0;
    std::string scheduler = "depth";  ///< "depth" or "depth-N"; a factory of one's own overrides
    std::string transmit = "fair";    ///< "fair", "strict" or "fifo"
    std::int64_t node_lost_after_us = 15'000'000;
    std::int64_t reconnect_within_us = 3'000'000;
    /// When faults end (safety phase) and how long what is left may take then (liveness phase).
    std::int64_t safety_us = 20'000'000;
    std::int64_t liveness_us = 600'000'000;
};

/// Policies of one's own; empty ones are made by the scenario's names. A function is called for
/// each head, that of `transmit` for each node, and must not return null.
struct SimPolicies {
    std::function<std::unique_ptr<Scheduler>()> scheduler;
    std::function<std::unique_ptr<TransmitPolicy>()> transmit;
    std::function<std::unique_ptr<Partitioner>()> partitioner;
    std::function<std::unique_ptr<Cluster>()> cluster;
};

/// How often each thing happened.
struct SimCounts {
    std::uint64_t requests = 0;
    std::uint64_t completions = 0;  ///< that ended with stop or length and the right tokens
    std::uint64_t tokens = 0;
    std::uint64_t refused = 0;              ///< by submit, with a reason that fits
    std::uint64_t failed = 0;               ///< with an error that names the right node or row
    std::uint64_t row_faults = 0;           ///< of `failed`: at a row that is not a number
    std::uint64_t cancelled = 0;            ///< all cancellations that ended a completion
    std::uint64_t cancelled_in_flight = 0;  ///< while parts of it were under way
    std::uint64_t preemptions = 0;
    std::uint64_t prefix_hits = 0;  ///< admissions that found at least one block
    std::uint64_t drafts = 0;       ///< planned by the made-up drafter
    std::uint64_t stop_strings = 0;
    std::uint64_t epoch_changes = 0;
    std::uint64_t faults[kSimFaultKinds] = {};  ///< by SimFaultKind
    std::uint64_t frames = 0;
    std::uint64_t frames_late = 0;   ///< held back so that others overtake them
    std::uint64_t frames_twice = 0;  ///< that arrived a second time
    std::uint64_t resent_bytes = 0;
    std::uint64_t parts = 0;

    SimCounts& operator+=(const SimCounts& other);
};

/// What came of a run.
struct SimReport {
    std::string failure;  ///< empty: every checker is content
    SimCounts counts;
    std::int64_t end_us = 0;   ///< virtual time
    std::uint64_t digest = 0;  ///< of every event in order; equal runs have equal digests
    MetricsSnapshot metrics;   ///< of the head at the end
};

/// A scenario with every option drawn from the seed: at least 2 nodes and 20 requests.
MOLINK_EXPORT SimScenario swarm_scenario(std::uint64_t seed);

/// Reads a scenario file (JSON; keys are the fields above, nested alike, fault kinds by name; what
/// is not there keeps its default). Errors: invalid_argument naming the key, its value and what is
/// permitted.
MOLINK_EXPORT Result<SimScenario> parse_scenario(std::string_view json);

/// Refuses what cannot be run: no worker and no local stage, unknown names, numbers out of range.
MOLINK_EXPORT Status check_scenario(const SimScenario& scenario);

/// Runs a scenario. Errors: as check_scenario. A violated invariant is not an error of the call but
/// SimReport::failure.
MOLINK_EXPORT Result<SimReport> simulate(const SimScenario& scenario,
                                         const SimPolicies& policies = {});

}  // namespace molink
