// From plans to parts. A plan becomes at most two parts of one step, decode rows and prefill slices
// apart, because decode must never wait for prefill rows. Relies on plan_check having compared the
// blocks that a plan needs with those that are available.
#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/limits.h"
#include "base/random.h"
#include "engine/engine_core.h"

namespace molink {
namespace {

/// The full description of a sequence for the stages.
SequenceOpen describe(const Sequence& sequence, const std::vector<Token>& eos_tokens) {
    const AdmittedRequest& request = *sequence.request;
    SequenceOpen open;
    open.id = sequence.wire_id;
    open.prompt = sequence.tokens;
    open.prompt_count = canary(Canary::penalty_history)
                            ? static_cast<std::int32_t>(sequence.tokens.size())
                            : static_cast<std::int32_t>(request.prompt.size());
    open.sampling = request.sampling;
    if (sequence.index > 0) {
        open.sampling.seed = counter_random(request.sampling.seed.value_or(0),
                                            static_cast<std::uint64_t>(sequence.index), 1);
    }
    open.min_tokens = request.min_tokens;
    if (request.min_tokens > 0) {
        open.stop_tokens = request.stop_tokens;
        if (!request.ignore_eos) {
            open.stop_tokens.insert(open.stop_tokens.end(), eos_tokens.begin(), eos_tokens.end());
        }
    }
    open.logprobs = request.logprobs;
    open.hash_logits = request.hash_logits;
    return open;
}

}  // namespace

void EngineCore::step(std::int64_t now_us) {
    if (!serving_ || parts_.backlog_bytes() > options_.max_in_flight_bytes) return;
    for (std::size_t i = 0; i < limits::kMaxPlansPerTick && plan_once(now_us); ++i) {
    }
}

SchedulerView EngineCore::make_view(std::int64_t now_us) const {
    SchedulerView view;
    view.now_us = now_us;
    view.step_seed = counter_random(epoch_.epoch.value, next_step_);
    view.waiting = queues_.waiting();
    view.prefilling = queues_.prefilling();
    view.decodable = queues_.decodable();
    view.running = queues_.running();
    view.decoding_in_flight = flight_.decoding_sequences();
    view.micro_batches_in_flight = flight_.steps();
    view.decode_parts_in_flight = flight_.decode_parts();
    view.prefill_parts_in_flight = flight_.prefill_parts();
    view.prefill_rows_in_flight = flight_.prefill_rows();
    view.free_blocks = ledger_.available();
    view.stages = stages_;
    view.max_running = options_.max_running;
    view.max_step_tokens = options_.max_step_tokens;
    view.max_slice_tokens = options_.max_slice_tokens;
    view.max_drafts = static_cast<std::int32_t>(limits::kMaxDrafts);
    view.block_tokens = options_.block_tokens;
    view.vocabulary = options_.vocabulary;
    return view;
}

bool EngineCore::plan_once(std::int64_t now_us) {
    if (queues_.idle()) return false;
    ledger_.look_up_prefixes(queues_.waiting(),
                             [this](SequenceId id) { return requests_.find(id); });
    const auto lookup = [this](SequenceId id) -> const SequenceView* {
        const Sequence* sequence = std::as_const(requests_).find(id);
        return sequence == nullptr ? nullptr : &sequence->view;
    };
    const StepPlan plan = planner_.next(make_view(now_us), lookup, flight_.parts() > 0);
    if (plan.empty()) return false;
    for (SequenceId id : plan.preempt) preempt(*requests_.find(id));
    launch(plan, now_us);
    return true;
}

void EngineCore::launch(const StepPlan& plan, std::int64_t now_us) {
    if (plan.decode.empty() && plan.prefill.empty()) return;
    const StepId step(next_step_++);
    const auto begin = [&](PartRows rows, LaunchedPart& launched) {
        PartPlan part;
        part.key = {epoch_, step, PartId(next_part_++)};
        part.rows = std::move(rows);
        launched.key = part.key;
        launched.kind = part.kind();
        launched.launched_us = now_us;
        return part;
    };
    if (!plan.decode.empty()) {
        LaunchedPart launched;
        PartPlan part = begin(std::vector<DecodeRows>(), launched);
        for (const DecodeRun& run : plan.decode) add_decode(run, part, launched);
        launch_part(std::move(part), std::move(launched));
    }
    if (!plan.prefill.empty()) {
        LaunchedPart launched;
        PartPlan part = begin(std::vector<PrefillRows>(), launched);
        for (const PrefillRun& run : plan.prefill) add_prefill(run, part, launched);
        launch_part(std::move(part), std::move(launched));
    }
    counters_.max_micro_batches_in_flight =
        std::max(counters_.max_micro_batches_in_flight, flight_.steps());
}

/// Opens the sequence on the stages if they do not know it, and returns the blocks that they do not
/// know yet.
std::vector<BlockId> EngineCore::begin_rows(Sequence& sequence, std::int32_t count,
                                            PartPlan& part) {
    std::vector<BlockId> new_blocks;
    if (!sequence.opened) {
        part.opens.push_back(describe(sequence, options_.eos_tokens));
        sequence.opened = true;
        new_blocks = sequence.blocks;
    }
    const auto allocated = ledger_.extend(sequence, sequence.view.scheduled + count);
    new_blocks.insert(new_blocks.end(), allocated.begin(), allocated.end());
    return new_blocks;
}

void EngineCore::end_rows(Sequence& sequence, LaunchedRows rows, LaunchedPart& launched) {
    SequenceView& view = sequence.view;
    view.scheduled = rows.span.end();
    ++view.parts_in_flight;
    ledger_.refresh_need(sequence);
    if (canary(Canary::prefix_unpublished)) {
        ledger_.publish(
            sequence, std::min(rows.span.end(), static_cast<std::int32_t>(sequence.tokens.size())));
    }
    launched.row_count += rows.span.count;
    launched.rows.push_back(std::move(rows));
}

void EngineCore::add_decode(const DecodeRun& run, PartPlan& part, LaunchedPart& launched) {
    Sequence& sequence = *requests_.find(run.sequence);
    DecodeRows rows;
    rows.drafts = run.drafts;
    rows.new_blocks = begin_rows(sequence, rows.count(), part);
    rows.sequence = sequence.wire_id;
    rows.position = sequence.view.scheduled;
    const auto position = static_cast<std::size_t>(rows.position);
    if (position < sequence.tokens.size()) {
        rows.token = sequence.tokens[position];
    } else {
        sequence.ahead = launched.key.id;
        ++launched.unknown_tokens;
    }
    queues_.begin_decode(sequence.view);
    end_rows(sequence, {&sequence, span_of(rows), run.drafts}, launched);
    std::get<std::vector<DecodeRows>>(part.rows).push_back(std::move(rows));
}

void EngineCore::begin_prefill(Sequence& sequence, std::int64_t now_us) {
    ledger_.admit(sequence);
    queues_.admit(sequence.view);
    ledger_.refresh_need(sequence);
    sequence.retired = sequence.view.scheduled;
    sequence.wire_id = SequenceId(next_wire_id_++);
    if (sequence.admitted) return;
    sequence.admitted = true;
    sequence.cached_tokens = sequence.view.scheduled;
    requests_.count_start(sequence, now_us);
}

void EngineCore::add_prefill(const PrefillRun& run, PartPlan& part, LaunchedPart& launched) {
    Sequence& sequence = *requests_.find(run.sequence);
    if (sequence.view.state == SequenceState::waiting) {
        begin_prefill(sequence, launched.launched_us);
    }
    PrefillRows rows;
    // The cache may have spared more than was known when the plan was made.
    rows.rows = std::min(run.count, sequence.view.prompt_left());
    rows.new_blocks = begin_rows(sequence, rows.rows, part);
    rows.sequence = sequence.wire_id;
    rows.position = sequence.view.scheduled;
    rows.ends_prompt = rows.rows == sequence.view.prompt_left();
    if (rows.ends_prompt) queues_.end_prefill(sequence.view);
    end_rows(sequence, {&sequence, span_of(rows), {}}, launched);
    std::get<std::vector<PrefillRows>>(part.rows).push_back(std::move(rows));
}

void EngineCore::launch_part(PartPlan part, LaunchedPart launched) {
    part.releases = std::move(releases_);
    releases_.clear();
    LaunchedPart& kept = flight_.add(std::move(launched));
    if (feeds_back_ && kept.kind == PartKind::decode && kept.unknown_tokens == 0) plan_on(kept);
    parts_.launch(std::move(part));
}

/// The head knows all tokens that a decode part begins with: to policies its sequences can go on,
/// one row further. What the part samples is not known yet; the first stage will be told. With
/// drafts under way it is not known either where its sequences go on.
void EngineCore::plan_on(LaunchedPart& launched) {
    if (launched.has_drafts()) return;
    flight_.plan_on(launched);
    for (const LaunchedRows& rows : launched.rows) {
        Sequence& sequence = *rows.sequence;
        const bool finished = sequence.view.state == SequenceState::finished;
        // The last token of the request is not computed on.
        if (finished || sequence.view.scheduled + 1 >= sequence.view.max_tokens) continue;
        make_decodable(sequence);
    }
}

}  // namespace molink
