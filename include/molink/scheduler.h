#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <molink/export.h>
#include <molink/link.h>
#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// Where a sequence stands.
enum class SequenceState : std::uint8_t {
    waiting = 0,     ///< not admitted, or preempted
    prefilling = 1,  ///< admitted, prompt not fully scheduled
    in_flight = 2,   ///< waits for its next token
    decodable = 3,   ///< its next token can start
    finished = 4,    ///< only its last parts are under way; in no queue
};

/// One sequence as a scheduler sees it. Positions count from 0.
struct SequenceView {
    SequenceId id;
    RequestId request;            ///< sequences of one request are its completions
    std::int32_t completion = 0;  ///< 0 .. n - 1
    /// By position: the prompt and the output that the head knows. With direct feedback the newest
    /// token of a decodable sequence may not be among them yet.
    std::span<const Token> tokens;
    SequenceState state = SequenceState::waiting;
    std::int64_t arrival_us = 0;     ///< when the request was submitted
    std::int32_t prompt_tokens = 0;  ///< tokens to prefill; after a preemption with those generated
    std::int32_t max_tokens = 0;     ///< positions it may reach: prompt + output
    /// Positions computed, under way or, while it waits, found in the prefix cache when it was last
    /// looked up (the first few of the queue are looked up before every plan).
    std::int32_t scheduled = 0;
    std::int32_t parts_in_flight = 0;
    /// KV blocks that its next run takes out of free_blocks: of a waiting one its whole prompt's,
    /// of a decodable one 0 or 1; a prefilling one has what it needs.
    std::int32_t blocks_needed = 0;
    std::int32_t blocks_held = 0;  ///< what preempting it can free at most
    /// Tokens to prefill that are neither computed nor under way.
    std::int32_t prompt_left() const { return prompt_tokens - scheduled; }
};

/// Service time of a part by its rows.
struct ServiceTime {
    double base_us = 0;  ///< however many rows
    double row_us = 0;   ///< for each row
    double at(double rows) const { return base_us + rows * row_us; }
};

/// One stage: from its profile at first, then as measured, smoothed. 0 while unknown.
struct StageView {
    ServiceTime decode;   ///< a decode part
    ServiceTime prefill;  ///< a prefill part
    LayerRange layers;
    std::int32_t hidden = 0;     ///< values of a row
    std::int64_t row_bytes = 0;  ///< of one row on a link between stages
    LinkModel link_to_next;      ///< of the last stage: back to the head, or to the first stage
    LinkCargo cargo = LinkCargo::activations;  ///< what that link carries
};

/// What the engine knows, read-only, valid during the call. Queues are in the order named; they are
/// kept up incrementally, so looking at the first few costs nothing.
struct SchedulerView {
    std::int64_t now_us = 0;
    std::uint64_t step_seed = 0;  ///< the only source of randomness a policy may use
    /// Not admitted or preempted, by arrival. A prefill run of one of them admits it; its
    /// blocks_needed must fit into free_blocks.
    std::span<const SequenceView* const> waiting;
    /// Admitted, prompt not fully scheduled, by admission.
    std::span<const SequenceView* const> prefilling;
    /// Next token known and not under way, longest idle first.
    std::span<const SequenceView* const> decodable;
    std::int32_t running = 0;             ///< admitted and not finished
    std::int32_t decoding_in_flight = 0;  ///< sequences with decode rows under way
    std::int32_t micro_batches_in_flight = 0;
    std::int32_t decode_parts_in_flight = 0;
    std::int32_t prefill_parts_in_flight = 0;
    std::int32_t prefill_rows_in_flight = 0;
    std::int64_t free_blocks = 0;       ///< neither held nor promised; what the prefix cache
                                        ///< keeps beyond running sequences counts as free
    std::span<const StageView> stages;  ///< [n_stages], n_stages >= 1
    // Limits, from EngineOptions:
    std::int32_t max_running = 0;
    std::int32_t max_step_tokens = 0;   ///< rows of one micro-batch
    std::int32_t max_slice_tokens = 0;  ///< rows of one prefill run
    std::int32_t max_drafts = 0;        ///< of one decode run
    std::int32_t block_tokens = 0;      ///< positions of one KV block
    std::int32_t vocabulary = 0;        ///< tokens are below it
};

/// The next row of a decodable sequence, and one more for each draft. Drafts are tokens proposed
/// for the positions behind the sequence's newest token. Those that are what the model samples
/// itself are kept, up to the first that is not; so drafts change the speed of the output, never
/// the output (Leviathan et al. 2023, speculative decoding, with a sampler that draws by position).
/// The run covers positions [scheduled, scheduled + 1 + drafts): they need KV blocks beyond
/// blocks_held, and the last one is below max_tokens - 1.
struct DecodeRun {
    SequenceId sequence;
    std::vector<Token> drafts;
};

/// `count` positions of a prompt, from where the sequence stands.
struct PrefillRun {
    SequenceId sequence;
    std::int32_t count = 0;
};

/// One micro-batch: its decode rows become one part, its prefill runs another. A plan names only
/// what starts now; leave it empty to wait for the next event.
struct StepPlan {
    std::vector<DecodeRun> decode;    ///< each from view.decodable, at most once
    std::vector<PrefillRun> prefill;  ///< each from view.prefilling or view.waiting, at most once
    /// Sequences that give up their blocks before the rest of the plan starts, and are computed
    /// anew later: each from view.prefilling or view.decodable, with no part in flight and not
    /// otherwise in the plan. The rest may use the blocks only when a next view shows them as free.
    std::vector<SequenceId> preempt;
    bool empty() const { return decode.empty() && prefill.empty() && preempt.empty(); }
};

/// What one finished micro-batch part took.
struct PartReport {
    PartKind kind = PartKind::decode;
    std::int32_t rows = 0;
    std::int64_t launched_us = 0;
    std::int64_t retired_us = 0;
    struct Stage {
        std::int64_t compute_us = 0;
        std::int64_t wait_us = 0;  ///< queued at the stage
    };
    std::span<const Stage> stages;  ///< [n_stages]
};

/// Chooses what runs next. Pure policy: owns no blocks, sends nothing, reads no clock. The engine
/// checks every plan before acting on it (lib/engine/plan_check.h), so a wrong plan costs an error
/// in the log and a step of the built-in policy, never a corrupt cache.
///
/// Thread: called from one engine loop; never concurrently. Deterministic: equal calls, equal
/// plans; take randomness from view.step_seed only.
class MOLINK_EXPORT Scheduler {
public:
    virtual ~Scheduler();
    /// Short name for logs and metrics. Static storage.
    virtual std::string_view name() const = 0;
    /// Fills `plan` (empty on entry) with one micro-batch. Called again, with the view brought up
    /// to date, until it stays empty. An empty plan while nothing is under way would wait for ever,
    /// so the built-in policy plans instead; it also preempts when blocks have run out and a policy
    /// that never preempts is stuck.
    virtual void plan(const SchedulerView& view, StepPlan& plan) = 0;
    /// Learns from a finished part. Default: ignores it.
    virtual void observe(const PartReport& report);
};

struct DepthSchedulerOptions {
    /// Micro-batches under way at once; 0: as many as there are stages. Limits: 0 .. 64.
    std::int32_t depth = 0;
    /// Rows of a micro-batch; 0: what the engine permits.
    std::int32_t step_tokens = 0;
};

/// First come, first served with sliced prefill and continuous batching; running sequences are
/// spread over `depth` micro-batches. Never fails.
MOLINK_EXPORT std::unique_ptr<Scheduler> make_depth_scheduler(
    const DepthSchedulerOptions& options = {});

/// The constants of the paper's rule: with c(b) the decode time of a micro-batch of b requests plus
/// compute_overhead_us, x(b) = 2 H b bytes over bytes_per_s plus transfer_overhead_us, P =
/// pipeline_depth and R requests, the smallest N in P + 1 .. most with (N - P) c(R / N) >=
/// P x(R / N), else `most`.
struct PaperSchedulerOptions {
    std::int32_t pipeline_depth = 2;
    std::int32_t most = 10;
    double compute_overhead_us = 5000;
    double transfer_overhead_us = 5000;
    double bytes_per_s = 125e6;
    std::int32_t step_tokens = 0;  ///< rows of a micro-batch; 0: what the engine permits
};

/// What the MoLink paper publishes (arXiv 2507.05043): prefill first, phases never mixed, as many
/// micro-batches as the rule above says. For comparison.
MOLINK_EXPORT std::unique_ptr<Scheduler> make_paper_scheduler(
    const PaperSchedulerOptions& options = {});

struct AdaptiveSchedulerOptions {
    /// Longest time between two tokens of a sequence to aim at; 0: none. Binds admission, and
    /// prefill beyond its guaranteed share.
    std::int64_t latency_goal_us = 0;
    /// Output tokens/s beyond which no more sequences are admitted; 0: none.
    double throughput_goal = 0;
    /// How long a slice of a prompt may hold up a stage while others decode.
    std::int64_t hol_bound_us = 10'000;
};

/// As many decode micro-batches as the measured stages and links need, prompts in slices that flow
/// through what decode leaves. The default.
MOLINK_EXPORT std::unique_ptr<Scheduler> make_adaptive_scheduler(
    const AdaptiveSchedulerOptions& options = {});

/// What can be told to a scheduler by name.
struct SchedulerOptions {
    std::int32_t step_tokens = 0;      ///< single, depth, molink-paper: rows of a micro-batch
    std::int64_t latency_goal_us = 0;  ///< adaptive
    double throughput_goal = 0;        ///< adaptive: output tokens/s
};

/// "single" (one micro-batch under way), "depth" (as many as there are stages), "molink-paper",
/// "adaptive". Errors: invalid_argument naming the known ones, or the option that the policy does
/// not have.
MOLINK_EXPORT Result<std::unique_ptr<Scheduler>> make_scheduler(
    std::string_view name, const SchedulerOptions& options = {});
MOLINK_EXPORT std::span<const std::string_view> scheduler_names();

}  // namespace molink
