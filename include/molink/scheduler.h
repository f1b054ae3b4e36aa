#pragma once

#include <algorithm>
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

/// State of a sequence.
enum class SequenceState : std::uint8_t {
    waiting = 0,     ///< not admitted, or preempted
    prefilling = 1,  ///< admitted, prompt not fully scheduled
    in_flight = 2,   ///< waits for its next token
    decodable = 3,   ///< its next token can start
    finished = 4,    ///< its last parts are under way; it is in no queue
};

/// One sequence as a scheduler sees it. Positions count from 0.
struct SequenceView {
    SequenceId id;
    RequestId request;            ///< sequences of one request are its completions
    std::int32_t completion = 0;  ///< 0 .. n - 1
    /// The prompt and the output that the head knows, by position. With direct feedback the newest
    /// token of a decodable sequence may still be missing.
    std::span<const Token> tokens;
    SequenceState state = SequenceState::waiting;
    std::int64_t arrival_us = 0;     ///< when the request was submitted
    std::int32_t prompt_tokens = 0;  ///< tokens to prefill; after preemption with output
    std::int32_t max_tokens = 0;     ///< maximum number of positions: prompt + output
    /// Positions that are computed or under way. For a waiting sequence: positions found in the
    /// prefix cache by the last look-up. The first few of the queue are looked up before every
    /// plan.
    std::int32_t scheduled = 0;
    std::int32_t parts_in_flight = 0;
    /// KV blocks that its next run takes from free_blocks: for a waiting sequence those of its
    /// whole prompt, for a prefilling one 0, for a decodable one 0 or 1.
    std::int32_t blocks_needed = 0;
    std::int32_t blocks_held = 0;  ///< preemption frees at most this number
    /// Returns the number of tokens to prefill that are neither computed nor under way.
    std::int32_t prompt_left() const { return prompt_tokens - scheduled; }
};

/// Service time of a part as a function of its rows.
struct ServiceTime {
    double base_us = 0;  ///< for any number of rows
    double row_us = 0;   ///< for each row
    /// Least time of a part, however few its rows are: that of reading the weights (roofline,
    /// Williams et al. 2009).
    double least_us = 0;
    double at(double rows) const { return std::max(base_us + rows * row_us, least_us); }
};

/// One stage. Its times come from the node's profile at first and later from smoothed measurements.
/// Unknown values are 0.
struct StageView {
    ServiceTime decode;   ///< a decode part
    ServiceTime prefill;  ///< a prefill part
    LayerRange layers;
    std::int32_t hidden = 0;     ///< number of values in a row
    std::int64_t row_bytes = 0;  ///< one row on a link between stages
    /// From the last stage: to the first one. The delay includes the way through the head where
    /// tokens take it.
    LinkModel link_to_next;
    LinkCargo cargo = LinkCargo::activations;  ///< what that link carries
    /// Stages of one domain compute on the same cores, or on the same device. They compute at the
    /// same time only as far as their shares fit into 1; beyond that they take turns.
    std::int32_t compute_domain = 0;
    double compute_share = 0;  ///< share of its domain that the stage uses; 0: unknown
};

/// State of the engine. Read-only and valid during the call. The comments give the order of each
/// queue. Queues are maintained incrementally, so a look at the first few entries costs nothing.
struct SchedulerView {
    std::int64_t now_us = 0;
    std::uint64_t step_seed = 0;  ///< the only randomness that a policy may use
    /// Sequences that are not admitted or are preempted, by arrival. A prefill run admits a
    /// sequence; its blocks_needed must fit into free_blocks.
    std::span<const SequenceView* const> waiting;
    /// Admitted sequences whose prompt is not fully scheduled, by admission.
    std::span<const SequenceView* const> prefilling;
    /// Sequences whose next token can start, longest idle first.
    std::span<const SequenceView* const> decodable;
    std::int32_t running = 0;             ///< admitted and not finished
    std::int32_t decoding_in_flight = 0;  ///< sequences with decode rows under way
    std::int32_t micro_batches_in_flight = 0;
    std::int32_t decode_parts_in_flight = 0;
    std::int32_t prefill_parts_in_flight = 0;
    std::int32_t prefill_rows_in_flight = 0;
    std::int64_t free_blocks = 0;       ///< not held or reserved; includes cached ones
    std::span<const StageView> stages;  ///< [n_stages], n_stages >= 1
    // Limits from EngineOptions:
    std::int32_t max_running = 0;
    std::int32_t max_step_tokens = 0;   ///< maximum rows of one micro-batch
    std::int32_t max_slice_tokens = 0;  ///< maximum rows of one prefill run
    std::int32_t max_drafts = 0;        ///< maximum drafts of one decode run
    std::int32_t block_tokens = 0;      ///< positions of one KV block
    std::int32_t vocabulary = 0;        ///< every token is below this number
};

/// The next row of a decodable sequence, and one further row per draft. Drafts are proposed tokens
/// for the positions after the sequence's newest token. A draft is kept if it equals the token that
/// the model samples and all drafts before it are kept. Drafts therefore change the speed but not
/// the output (Leviathan et al. 2023, speculative decoding, with a sampler that draws by position).
/// The run covers the positions [scheduled, scheduled + 1 + drafts). They need KV blocks beyond
/// blocks_held, and the last one must be below max_tokens - 1.
struct DecodeRun {
    SequenceId sequence;
    std::vector<Token> drafts;
};

/// The next `count` positions of a sequence's prompt, from `scheduled` on.
struct PrefillRun {
    SequenceId sequence;
    std::int32_t count = 0;
};

/// One micro-batch. Its decode rows become one part and its prefill runs another. A plan contains
/// only what starts now. An empty plan waits for the next event.
struct StepPlan {
    std::vector<DecodeRun> decode;    ///< each from view.decodable, at most once
    std::vector<PrefillRun> prefill;  ///< each from view.prefilling or view.waiting, at most once
    /// Sequences that release their blocks before the rest of the plan starts, and are computed
    /// again later. Each is from view.prefilling or view.decodable, has no part in flight and is
    /// nowhere else in the plan. The blocks are usable only when a later view shows them as free.
    std::vector<SequenceId> preempt;
    bool empty() const { return decode.empty() && prefill.empty() && preempt.empty(); }
};

/// Times of one finished part.
struct PartReport {
    PartKind kind = PartKind::decode;
    std::int32_t rows = 0;
    std::int64_t launched_us = 0;
    std::int64_t retired_us = 0;
    struct Stage {
        std::int64_t compute_us = 0;
        std::int64_t wait_us = 0;  ///< time in the queue of the stage
    };
    std::span<const Stage> stages;  ///< [n_stages]
};

/// Chooses what runs next. An implementation is a pure policy: it owns no blocks, sends nothing and
/// reads no clock. The engine checks every plan before it acts on it. A wrong plan or an exception
/// is logged, and the built-in policy plans that step; it never corrupts a cache.
///
/// While a scheduler is called, the engine does nothing else: it sends no sign of life either, and
/// after node_lost_after_us workers give it up. A call that does not return cannot be ended; it
/// blocks the engine, close() included. A call of more than a second is logged with the scheduler's
/// name, while it lasts and when it has returned.
///
/// Thread: one engine loop; calls never overlap. Deterministic: equal calls give equal plans, and
/// view.step_seed is the only source of randomness.
class MOLINK_EXPORT Scheduler {
public:
    virtual ~Scheduler();
    /// Short name for logs and metrics. Static storage.
    virtual std::string_view name() const = 0;
    /// Fills `plan`, which is empty on entry, with one micro-batch. The engine updates the view and
    /// calls again until the plan stays empty. If nothing is under way, an empty plan would wait
    /// forever; the built-in policy then plans instead. The built-in policy also preempts when no
    /// blocks are left and a policy that never preempts is stuck.
    virtual void plan(const SchedulerView& view, StepPlan& plan) = 0;
    /// Receives the times of a finished part. The default ignores them.
    virtual void observe(const PartReport& report);
};

struct DepthSchedulerOptions {
    /// Maximum number of micro-batches under way; 0: the number of stages. Limits: 0 .. 64.
    std::int32_t depth = 0;
    /// Maximum rows of a micro-batch; 0: max_step_tokens.
    std::int32_t step_tokens = 0;
};

/// Serves requests in order of arrival, with sliced prefill and continuous batching. Spreads
/// running sequences over `depth` micro-batches.
MOLINK_EXPORT std::unique_ptr<Scheduler> make_depth_scheduler(
    const DepthSchedulerOptions& options = {});

/// Constants of the paper's rule for the number N of micro-batches. Let c(b) be the decode time of
/// a micro-batch of b requests plus compute_overhead_us. Let x(b) be the time of 2 H b bytes at
/// bytes_per_s plus transfer_overhead_us, with hidden size H. P is pipeline_depth and R is the
/// number of requests. N is the smallest number in P + 1 .. most with (N - P) c(R / N) >= P x(R /
/// N), or `most` if there is none.
struct PaperSchedulerOptions {
    std::int32_t pipeline_depth = 2;
    std::int32_t most = 10;
    double compute_overhead_us = 5000;
    double transfer_overhead_us = 5000;
    double bytes_per_s = 125e6;
    std::int32_t step_tokens = 0;  ///< maximum rows of a micro-batch; 0: max_step_tokens
};

/// The published scheduler of MoLink (arXiv 2507.05043), for comparison: prefill first, prefill and
/// decode never in one micro-batch, and the number of micro-batches from the rule above.
MOLINK_EXPORT std::unique_ptr<Scheduler> make_paper_scheduler(
    const PaperSchedulerOptions& options = {});

struct AdaptiveSchedulerOptions {
    /// Goal for the longest time between two tokens of a sequence; 0: none. It limits admission,
    /// and prefill beyond its guaranteed share.
    std::int64_t latency_goal_us = 0;
    /// No more sequences are admitted above this number of output tokens/s; 0: no limit.
    double throughput_goal = 0;
    /// Maximum time for which a slice of a prompt may occupy a stage while other sequences decode.
    std::int64_t hol_bound_us = 10'000;
};

/// The default. Uses as many decode micro-batches as the measured stages and links need. Prompts
/// run in slices in the time that decode leaves.
MOLINK_EXPORT std::unique_ptr<Scheduler> make_adaptive_scheduler(
    const AdaptiveSchedulerOptions& options = {});

/// Options of make_scheduler().
struct SchedulerOptions {
    std::int32_t step_tokens = 0;  ///< single, depth, molink-paper: maximum rows of a micro-batch
    std::int64_t latency_goal_us = 0;  ///< adaptive
    double throughput_goal = 0;        ///< adaptive: output tokens/s
};

/// Makes "single" (one micro-batch under way), "depth" (as many as there are stages),
/// "molink-paper" or "adaptive". Errors: invalid_argument, listing the known names or naming the
/// option that the policy does not have.
MOLINK_EXPORT Result<std::unique_ptr<Scheduler>> make_scheduler(
    std::string_view name, const SchedulerOptions& options = {});
MOLINK_EXPORT std::span<const std::string_view> scheduler_names();

}  // namespace molink
