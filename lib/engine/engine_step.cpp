// The planning half of the engine: view -> plan -> check -> blocks -> parts. A plan becomes at most
// two parts of one step, decode rows and prefill slices apart, because decode must never wait for
// prefill rows. Relies on plan_check having compared the blocks a plan needs with those that are
// free.
#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"
#include "engine/engine_core.h"
#include "engine/histogram.h"
#include "engine/plan_check.h"

namespace molink {

void EngineCore::step(std::int64_t now_us) {
    if (!serving_ || parts_.backlog_bytes() > options_.max_in_flight_bytes) return;
    for (std::size_t i = 0; i < limits::kMaxPlansPerTick && plan_once(now_us); ++i) {
    }
}

SchedulerView EngineCore::make_view(std::int64_t now_us) const {
    SchedulerView view;
    view.now_us = now_us;
    view.step_seed = counter_random(epoch_.epoch.value, next_step_);
    view.waiting = waiting_.span();
    view.prefilling = prefilling_.span();
    view.decodable = decodable_.span();
    view.running = running_;
    view.decoding_in_flight = decoding_in_flight_;
    view.micro_batches_in_flight = static_cast<std::int32_t>(steps_in_flight_.size());
    view.decode_parts_in_flight = decode_parts_in_flight_;
    view.prefill_parts_in_flight = prefill_parts_in_flight_;
    view.prefill_rows_in_flight = prefill_rows_in_flight_;
    view.free_blocks = pool_.available();
    view.stages = stages_;
    view.max_running = options_.max_running;
    view.max_step_tokens = options_.max_step_tokens;
    view.max_slice_tokens = options_.max_slice_tokens;
    return view;
}

bool EngineCore::accept(const SchedulerView& view, StepPlan& plan) {
    const auto lookup = [this](SequenceId id) -> const SequenceView* {
        const auto found = sequences_.find(id);
        return found == sequences_.end() ? nullptr : &found->second->view;
    };
    const Status checked = check_plan(view, lookup, plan);
    if (checked.ok() && !plan.empty()) return true;
    if (!checked.ok()) {
        ++counters_.plans_refused;
        log_(LogLevel::error, "plan of scheduler '{}' refused: {}", scheduler_->name(),
             checked.message());
    } else if (!in_flight_.empty()) {
        return false;  // it waits for the next event, and there will be one
    }
    plan = StepPlan();
    fallback_->plan(view, plan);
    return !plan.empty() && check_plan(view, lookup, plan).ok();
}

bool EngineCore::plan_once(std::int64_t now_us) {
    if (waiting_.size() + prefilling_.size() + decodable_.size() == 0) return false;
    look_up_prefixes();
    const SchedulerView view = make_view(now_us);
    StepPlan plan;
    scheduler_->plan(view, plan);
    if (!accept(view, plan)) return false;
    for (SequenceId id : plan.preempt) preempt(*find(id));
    launch(plan, now_us);
    return true;
}

void EngineCore::launch(const StepPlan& plan, std::int64_t now_us) {
    if (plan.decode.empty() && plan.prefill.empty()) return;
    const StepId step(next_step_++);
    const auto make_part = [&](PartRows rows) {
        PartPlan part;
        part.key = {epoch_, step, PartId(next_part_++)};
        part.rows = std::move(rows);
        return part;
    };
    const auto make_record = [&](const PartPlan& part) {
        LaunchedPart launched;
        launched.id = part.key.id;
        launched.kind = part.kind();
        launched.step = step;
        launched.launched_us = now_us;
        return launched;
    };
    if (!plan.decode.empty()) {
        PartPlan part = make_part(std::vector<DecodeRows>());
        LaunchedPart launched = make_record(part);
        for (SequenceId id : plan.decode) add_decode(*find(id), part, launched);
        launch_part(std::move(part), std::move(launched));
    }
    if (!plan.prefill.empty()) {
        PartPlan part = make_part(std::vector<PrefillRows>());
        LaunchedPart launched = make_record(part);
        for (const PrefillRun& run : plan.prefill) {
            Sequence& sequence = *find(run.sequence);
            if (sequence.view.state == SequenceState::waiting) {
                if (!sequence.admitted_once) {
                    record(counters_.queue_s,
                           static_cast<double>(now_us - sequence.request->submitted_us) * 1e-6);
                }
                admit(sequence);
            }
            // The cache may have spared more than was known when the plan was made.
            add_prefill(sequence, std::min(run.count, sequence.view.prompt_left()), part, launched);
        }
        launch_part(std::move(part), std::move(launched));
    }
    counters_.max_micro_batches_in_flight = std::max(
        counters_.max_micro_batches_in_flight, static_cast<std::int32_t>(steps_in_flight_.size()));
}

void EngineCore::open(Sequence& sequence, PartPlan& part) {
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
            open.stop_tokens.insert(open.stop_tokens.end(), options_.eos_tokens.begin(),
                                    options_.eos_tokens.end());
        }
    }
    open.logprobs = request.logprobs;
    open.hash_logits = request.hash_logits;
    part.opens.push_back(std::move(open));
    sequence.opened = true;
}

void EngineCore::allocate_block(Sequence& sequence, std::vector<BlockId>& new_blocks) {
    if (sequence.reserved_left > 0) {
        --sequence.reserved_left;
    } else {
        pool_.reserve(1);
    }
    const BlockPool::Taken taken = pool_.take();
    if (taken.evicted) prefixes_.forget(taken.block);
    sequence.blocks.push_back(taken.block);
    new_blocks.push_back(taken.block);
}

/// Opens the sequence if need be, and gives the blocks that stages do not know yet.
std::vector<BlockId> EngineCore::begin_rows(Sequence& sequence, std::int32_t count,
                                            PartPlan& part) {
    std::vector<BlockId> new_blocks;
    if (!sequence.opened) {
        open(sequence, part);
        new_blocks = sequence.blocks;
    }
    const std::int32_t end = sequence.view.scheduled + count;
    while (static_cast<std::int32_t>(sequence.blocks.size()) * options_.block_tokens < end) {
        allocate_block(sequence, new_blocks);
    }
    return new_blocks;
}

void EngineCore::note_rows(Sequence& sequence, const RowSpan& span, LaunchedPart& launched) {
    SequenceView& view = sequence.view;
    view.scheduled = span.end();
    ++view.parts_in_flight;
    refresh_need(sequence);
    if (canary(Canary::prefix_unpublished)) {
        publish_blocks(sequence,
                       std::min(span.end(), static_cast<std::int32_t>(sequence.tokens.size())));
    }
    launched.rows += span.count;
    launched.runs.push_back({&sequence, span.position, span.count, span.sampled});
}

void EngineCore::add_decode(Sequence& sequence, PartPlan& part, LaunchedPart& launched) {
    SequenceView& view = sequence.view;
    DecodeRows rows;
    rows.new_blocks = begin_rows(sequence, 1, part);
    rows.sequence = sequence.wire_id;
    rows.position = view.scheduled;
    const auto next = static_cast<std::size_t>(view.scheduled);
    if (next < sequence.tokens.size()) {
        rows.token = sequence.tokens[next];
    } else {
        sequence.ahead = launched.id;
        ++launched.unknown;
    }
    decodable_.remove(&view);
    view.state = SequenceState::in_flight;
    ++decoding_in_flight_;
    note_rows(sequence, span_of(rows), launched);
    std::get<std::vector<DecodeRows>>(part.rows).push_back(std::move(rows));
}

void EngineCore::add_prefill(Sequence& sequence, std::int32_t count, PartPlan& part,
                             LaunchedPart& launched) {
    SequenceView& view = sequence.view;
    PrefillRows rows;
    rows.new_blocks = begin_rows(sequence, count, part);
    rows.sequence = sequence.wire_id;
    rows.position = view.scheduled;
    rows.rows = count;
    rows.ends_prompt = view.scheduled + count == view.prompt_tokens;
    prefill_rows_in_flight_ += count;
    if (rows.ends_prompt) {
        prefilling_.remove(&view);
        view.state = SequenceState::in_flight;
    }
    note_rows(sequence, span_of(rows), launched);
    std::get<std::vector<PrefillRows>>(part.rows).push_back(std::move(rows));
}

void EngineCore::launch_part(PartPlan part, LaunchedPart launched) {
    part.releases = std::move(releases_);
    releases_.clear();
    ++(part.kind() == PartKind::decode ? decode_parts_in_flight_ : prefill_parts_in_flight_);
    ++steps_in_flight_[part.key.step];
    LaunchedPart& kept = in_flight_.emplace(part.key.id, std::move(launched)).first->second;
    if (direct_feedback_ && kept.kind == PartKind::decode && kept.unknown == 0) plan_on(kept);
    parts_.launch(std::move(part));
}

/// The head knows all tokens that a decode part begins with: to policies its sequences can go on,
/// one row further. What it samples is not known yet; the first stage will be told.
void EngineCore::plan_on(LaunchedPart& launched) {
    launched.planned_on = true;
    leave_flight(launched);
    for (const LaunchedRun& run : launched.runs) {
        Sequence& sequence = *run.sequence;
        const bool finished = sequence.view.state == SequenceState::finished;
        // The last token of the request is not computed on.
        if (finished || sequence.view.scheduled + 1 >= sequence.view.max_tokens) continue;
        make_decodable(sequence);
    }
}

void EngineCore::leave_flight(const LaunchedPart& launched) {
    --decode_parts_in_flight_;
    decoding_in_flight_ -= launched.rows;
    leave_step(launched.step);
}

void EngineCore::leave_step(StepId step) {
    const auto found = steps_in_flight_.find(step);
    if (found != steps_in_flight_.end() && --found->second == 0) steps_in_flight_.erase(found);
}

void EngineCore::make_decodable(Sequence& sequence) {
    sequence.view.state = SequenceState::decodable;
    refresh_need(sequence);
    decodable_.push_back(&sequence.view);
}

}  // namespace molink
