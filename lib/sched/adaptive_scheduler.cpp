// The default policy. It keeps as many decode micro-batches under way as the measured ring needs,
// cuts prompts into slices that flow through it, and lets lanes and stages sort out who goes first:
// decode overtakes prefill everywhere, so prefill may fill whatever decode leaves. What it bounds
// is only what cannot be overtaken: a slice that a stage has begun, and, by shorter prompts, slices
// that are under way: no more of them than keep the slowest stage or link busy. While the ring is
// never idle, decode parts that are small waste its time, so they are spaced. Among prompts the
// one with the least left goes first (Schrage, 1968: no order has a smaller mean time), but every
// one gains on the others while it waits.
#include <array>
#include <cmath>
#include <functional>
#include <vector>

#include "sched/decode_cycles.h"
#include "sched/decode_spacing.h"
#include "sched/ring_model.h"
#include "sched/step_parts.h"

namespace molink {
namespace {

/// The largest slice within this much of the best: larger ones are less work for stages and for all
/// that handles parts.
constexpr double kNearBestSlice = 1.004;
/// Rows beyond its share go with a micro-batch that takes no more than this much of the cycle.
constexpr double kHardlyLonger = 1.02;
/// Prefill under way, in rings full of it. What is under way is passed by no shorter prompt that
/// comes later, so it is no more than keeps the bottleneck busy while reports and jitter vary.
constexpr double kPrefillReserve = 1.25;
constexpr std::int32_t kMostPrefillParts = 64;
/// A prompt is passed by shorter ones that come after it until it has waited ten times what is left
/// of it.
constexpr double kAging = 0.1;
/// Waiting prompts that are compared, the oldest.
constexpr std::size_t kPromptLookahead = 64;
/// For comparing sums of the same terms in different orders.
constexpr double kRounding = 1 - 1e-9;
/// A slice may hold up a stage for this many times the fixed cost of a part. Smaller slices would
/// cost a busy stage more than a thirtieth of its time, and small decode parts may waste a
/// fiftieth. Together they stay within the 5 % that adaptive may be behind another policy.
constexpr double kBaseShare = 30;
/// A ring counts as a single resource if a slice passes it within this many times its pace.
constexpr double kSingleResource = 1.5;
/// Rows of a slice; few sizes, so that few sizes of message and step occur.
constexpr std::array<std::int32_t, 16> kSlices{8,   16,  24,  32,  48,   64,   96,   128,
                                               192, 256, 384, 512, 1024, 1536, 2048, 4096};

class AdaptiveScheduler final : public Scheduler {
public:
    explicit AdaptiveScheduler(const AdaptiveSchedulerOptions& options) : options_(options) {}

    std::string_view name() const override { return "adaptive"; }

    void plan(const SchedulerView& view, StepPlan& plan) override {
        const RingModel ring(view);
        const std::int32_t population = decode_population(view);
        StepBudget budget{view.max_step_tokens, view.free_blocks};
        if (!view.decodable.empty()) {
            micro_batches_ = choose_micro_batches(view, ring, population);
        }
        DecodeLoad decode = ring.decode_load(population, micro_batches_);
        const double spacing_us = space(view, ring, decode);
        const bool room = !view.decodable.empty() && view.decode_parts_in_flight < micro_batches_;
        const bool early = static_cast<double>(view.now_us) - last_decode_us_ < spacing_us;
        if (room && !early) plan_decode(view, ring, population, budget, plan);
        if (!plan.preempt.empty()) return;
        plan_prefill(view, ring, population, decode, budget, plan);
        if (room && early && plan.empty() && !prefill_fills(view, ring, decode)) {
            plan_decode(view, ring, population, budget, plan);
        }
    }

private:
    /// The load once every prompt that can be admitted is admitted.
    struct Prospect {
        std::int32_t decoding = 0;  ///< sequences, once the prompts are computed
        double prompt_rows = 0;     ///< left to compute, including those under way
    };

    static Prospect prospect(const SchedulerView& view, std::int32_t population) {
        Prospect result{std::max(view.running, population),
                        static_cast<double>(view.prefill_rows_in_flight)};
        for (const SequenceView* sequence : view.prefilling) {
            result.prompt_rows += sequence->prompt_left();
        }
        std::int64_t blocks = view.free_blocks;
        for (const SequenceView* sequence :
             view.waiting.first(std::min(view.waiting.size(), kPromptLookahead))) {
            blocks -= sequence->blocks_needed;
            if (result.decoding >= view.max_running || blocks < 0) break;
            ++result.decoding;
            result.prompt_rows += sequence->prompt_left();
        }
        return result;
    }

    /// Returns whether the time that small decode parts waste is missed: decode alone keeps a stage
    /// busy, or prompts fill the ring for longer than decode would wait.
    static bool wastes(const RingModel& ring, const DecodeLoad& decode, double prompt_rows,
                       double spacing_us) {
        const double busy_us =
            decode.parts * ring.slowest_compute_us(PartKind::decode, decode.rows);
        if (busy_us >= DecodeCycles::kBusy * decode.cycle_us) return true;
        const double prompts_us = prompt_rows / kTypicalSlice * ring.pace_us(kTypicalSlice, decode);
        return prompts_us >= ring.passage_us(kTypicalSlice, decode) + spacing_us;
    }

    /// Between the beginnings of two decode parts while prompts compute, us; `decode` becomes the
    /// load that this makes. A goal for gaps goes before.
    double space(const SchedulerView& view, const RingModel& ring, DecodeLoad& decode) const {
        const bool prompts =
            view.prefill_parts_in_flight > 0 || can_prefill(view, view.max_running);
        if (!prompts || options_.latency_goal_us > 0 || decode.parts == 0) return 0;
        const Prospect later = prospect(view, decode_population(view));
        const double spacing_us = decode_spacing_us(ring, decode, later.decoding);
        if (!wastes(ring, decode, later.prompt_rows, spacing_us)) return 0;
        decode.pause_us = std::max(spacing_us - decode.cycle_us / decode.parts, 0.0);
        decode.cycle_us += decode.parts * decode.pause_us;
        return spacing_us;
    }

    /// The slices under way keep the ring busy without decode: it may wait until one is back.
    static bool prefill_fills(const SchedulerView& view, const RingModel& ring,
                              const DecodeLoad& decode) {
        if (view.prefill_parts_in_flight == 0) return false;
        const double rows =
            static_cast<double>(view.prefill_rows_in_flight) / view.prefill_parts_in_flight;
        return view.prefill_parts_in_flight * ring.pace_us(rows, decode) >=
               ring.passage_us(rows, decode) * kRounding;
    }

    void plan_decode(const SchedulerView& view, const RingModel& ring, std::int32_t population,
                     StepBudget& budget, StepPlan& plan) {
        plan_decode_rows(view, decode_rows(view, ring, population), budget, plan);
        if (!plan.decode.empty()) last_decode_us_ = static_cast<double>(view.now_us);
    }

    /// An equal share, or all rows that are ready when they are few more and hardly take longer:
    /// what one leaves behind waits for the next. But what became unequal stays so, and the largest
    /// micro-batch sets the cycle.
    std::int32_t decode_rows(const SchedulerView& view, const RingModel& ring,
                             std::int32_t population) const {
        const std::int32_t share = ceil_div(population, micro_batches_);
        const auto ready = static_cast<std::int32_t>(view.decodable.size());
        if (ready <= share || ready > share + (share + 2) / 4) return std::min(ready, share);
        const double cycle = ring.cycle_us(population, micro_batches_);
        return ring.round_trip_us(PartKind::decode, ready) <= kHardlyLonger * cycle ? ready : share;
    }

    std::int32_t choose_micro_batches(const SchedulerView& view, const RingModel& ring,
                                      std::int32_t population) const {
        if (ring.slowest_us(PartKind::decode, 1) <= 0) {  // nothing measured yet
            return std::clamp(static_cast<std::int32_t>(view.stages.size()), 1,
                              std::min(population, DecodeCycles::kMost));
        }
        const bool prompts =
            prefill_fills(view, ring, ring.decode_load(population, micro_batches_));
        return DecodeCycles(ring, population).choose(micro_batches_, prompts);
    }

    /// What prompts of `rows` rows together take in slices of `slice`: the first one passes the
    /// ring, and the slowest resource, in what decode leaves of it, sets the pace of the others.
    static double prompt_us(const RingModel& ring, std::int32_t rows, std::int32_t slice,
                            const DecodeLoad& decode) {
        return (ceil_div(rows, slice) - 1) * ring.pace_us(slice, decode) +
               ring.passage_us(slice, decode);
    }

    /// Rows that a slice may have: several prompts share one.
    static std::int32_t most_rows(const SchedulerView& view) {
        const std::int64_t prompts = std::ssize(view.prefilling) + std::ssize(view.waiting);
        return static_cast<std::int32_t>(
            std::min<std::int64_t>(view.max_step_tokens, view.max_slice_tokens * prompts));
    }

    /// The largest of those that take hardly longer than the best; while others decode, none that
    /// holds up a stage for longer than the bound, than a decode part does or than decode waits.
    std::int32_t choose_slice(const SchedulerView& view, const RingModel& ring,
                              const DecodeLoad& decode, std::int32_t rows) const {
        const std::int32_t most = most_rows(view);
        const double bound =
            std::max({static_cast<double>(options_.hol_bound_us),
                      ring.slowest_compute_us(PartKind::decode, decode.rows),
                      kBaseShare * ring.slowest_prefill_base_us(), decode.pause_us});
        std::array<double, kSlices.size()> us{};
        std::size_t sizes = 0;
        for (const std::int32_t candidate : kSlices) {
            const std::int32_t slice = std::min(candidate, most);
            const bool holds_up = ring.slowest_compute_us(PartKind::prefill, slice) > bound;
            if (sizes > 0 && decode.parts > 0 && holds_up) break;
            us[sizes++] = prompt_us(ring, rows, slice, decode);
            if (slice >= std::min(most, rows)) break;
        }
        const double best = *std::min_element(us.begin(), us.begin() + sizes);
        while (us[sizes - 1] > best * kNearBestSlice) --sizes;
        return std::min(kSlices[sizes - 1], most);
    }

    /// Prefill parts under way that keep the slowest resource busy.
    static double prefill_depth(const SchedulerView& view, const RingModel& ring,
                                const DecodeLoad& decode, std::int32_t slice) {
        const double pace = ring.pace_us(slice, decode);
        const double depth = pace > 0 ? kPrefillReserve * ring.passage_us(slice, decode) / pace + 1
                                      : static_cast<double>(view.stages.size());
        return std::clamp(std::ceil(depth), 2.0, 1.0 * kMostPrefillParts);
    }

    /// Rows that may run until the goals bind.
    std::int32_t admissible(const SchedulerView& view, const RingModel& ring,
                            std::int32_t population) const {
        const bool goals = options_.latency_goal_us > 0 || options_.throughput_goal > 0;
        if (!goals || view.running == 0) return view.max_running;
        const std::int32_t n = std::max(micro_batches_, 1);
        const double next_us = ring.cycle_us(population + 1, std::min(n, population + 1));
        if (options_.latency_goal_us > 0 && next_us > static_cast<double>(options_.latency_goal_us))
            return view.running;
        const double now_us =
            population > 0 ? ring.cycle_us(population, std::min(n, population)) : 0;
        if (options_.throughput_goal > 0 && now_us > 0 &&
            population / now_us * 1e6 >= options_.throughput_goal) {
            return view.running;
        }
        return view.max_running;
    }

    /// Rows of prefill per decode cycle that keep it within the latency goal; what is not used
    /// before the next cycle is lost.
    std::int32_t within_goal(const SchedulerView& view, const RingModel& ring,
                             std::int32_t population, std::int32_t slice) {
        if (options_.latency_goal_us <= 0 || population == 0) return slice;
        const std::int32_t n = std::clamp(micro_batches_, 1, population);
        const double goal_us = static_cast<double>(options_.latency_goal_us);
        const double busy_us = n * ring.slowest_us(PartKind::decode, ceil_div(population, n));
        const double row_us = ring.slowest_us(PartKind::prefill, slice) / slice;
        const double left = std::max(goal_us - busy_us, kGuaranteedShare * goal_us);
        const double most = row_us > 0 ? left / row_us : slice;
        const auto since = static_cast<double>(view.now_us - credit_us_);
        credit_ = std::min(credit_ + most * since / goal_us, std::max(most, 1.0 * slice));
        credit_us_ = view.now_us;
        return credit_ >= slice ? slice : 0;
    }

    struct Prompt {
        double rank = 0;  // us left, less what waiting has earned
        const SequenceView* sequence = nullptr;
        bool operator>(const Prompt& other) const {
            if (rank != other.rank) return rank > other.rank;
            return sequence->id > other.sequence->id;
        }
    };

    /// The prompts that are compared.
    static auto prompt_queues(const SchedulerView& view) {
        const std::size_t waiting = std::min(view.waiting.size(), kPromptLookahead);
        return std::array{view.prefilling, view.waiting.first(waiting)};
    }

    /// Makes of them a heap, what goes first at its front.
    void rank_prompts(const SchedulerView& view, const RingModel& ring) {
        const double row_us = ring.slowest_us(PartKind::prefill, kTypicalSlice) / kTypicalSlice;
        prompts_.clear();
        for (const auto& queue : prompt_queues(view)) {
            for (const SequenceView* sequence : queue) {
                const auto waited = static_cast<double>(view.now_us - sequence->arrival_us);
                prompts_.push_back({sequence->prompt_left() * row_us - kAging * waited, sequence});
            }
        }
        std::make_heap(prompts_.begin(), prompts_.end(), std::greater<>());
    }

    void pop_prompt() {
        std::pop_heap(prompts_.begin(), prompts_.end(), std::greater<>());
        prompts_.pop_back();
    }

    /// Returns whether a few prompt rows wait for more: the ring is a single resource that computes
    /// another slice, and a slice of their own would cost much for few rows. They are launched when
    /// that slice is done.
    static bool gather(const SchedulerView& view, const RingModel& ring, const DecodeLoad& decode,
                       std::int32_t slice) {
        if (view.prefill_parts_in_flight == 0) return false;
        const double passage_us = ring.passage_us(slice, decode);
        if (passage_us >= kSingleResource * ring.pace_us(slice, decode)) return false;
        std::int64_t left = 0;
        for (const auto& queue : prompt_queues(view)) {
            for (const SequenceView* sequence : queue) left += sequence->prompt_left();
        }
        const auto rows = static_cast<double>(left);
        return left <= slice && ring.slowest_compute_us(PartKind::prefill, rows) <
                                    kBaseShare * ring.slowest_prefill_base_us();
    }

    void plan_prefill(const SchedulerView& view, const RingModel& ring, std::int32_t population,
                      const DecodeLoad& decode, const StepBudget& budget, StepPlan& plan) {
        const std::int32_t running = admissible(view, ring, population);
        if (view.prefill_parts_in_flight >= kMostPrefillParts || !can_prefill(view, running))
            return;
        // Short prompts share a slice. The slices of one are alike to its end: a smaller one would
        // only wait behind those before it.
        std::int64_t left = 0;
        for (const auto& queue : prompt_queues(view)) {
            for (const SequenceView* sequence : queue) left += sequence->prompt_tokens;
        }
        const std::int32_t slice = choose_slice(
            view, ring, decode,
            static_cast<std::int32_t>(std::clamp<std::int64_t>(left, 1, kSlices.back())));
        if (view.prefill_parts_in_flight >= prefill_depth(view, ring, decode, slice)) return;
        if (gather(view, ring, decode, slice)) return;
        const std::int32_t rows = within_goal(view, ring, population, slice);
        if (rows == 0) return;
        rank_prompts(view, ring);
        PrefillRuns runs(view, rows, running, budget, plan);
        bool closed = false;
        for (; !prompts_.empty(); pop_prompt()) {
            const SequenceView& sequence = *prompts_.front().sequence;
            if (closed && sequence.state == SequenceState::waiting) continue;
            const PrefillRuns::Added added = runs.add(sequence);
            if (added == PrefillRuns::Added::full) break;
            closed |= added == PrefillRuns::Added::closed;
        }
        for (const PrefillRun& run : plan.prefill) credit_ -= run.count;
    }

    static constexpr double kGuaranteedShare = 0.2;

    AdaptiveSchedulerOptions options_;
    std::int32_t micro_batches_ = 0;
    double last_decode_us_ = -HUGE_VAL;  // when the last decode part began
    std::vector<Prompt> prompts_;        // of this call
    double credit_ = 0;                  // rows of prefill, when there is a latency goal
    std::int64_t credit_us_ = 0;
};

}  // namespace

std::unique_ptr<Scheduler> make_adaptive_scheduler(const AdaptiveSchedulerOptions& options) {
    return std::make_unique<AdaptiveScheduler>(options);
}

}  // namespace molink
