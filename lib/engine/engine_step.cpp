// The planning half of the engine: view -> plan -> check -> blocks -> parts. A plan becomes at most
// two parts of one step, decode rows and prefill slices apart, because decode must never wait for
// prefill rows. Relies on admission having reserved every block a sequence can need.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"
#include "engine/engine_core.h"
#include "engine/plan_check.h"

namespace molink {

void EngineCore::step(std::int64_t now_us) {
    if (!serving_) return;
    for (std::size_t i = 0; i < limits::kMaxPlansPerTick && plan_once(now_us); ++i) {
    }
}

SchedulerView EngineCore::make_view(std::int64_t now_us) const {
    SchedulerView view;
    view.now_us = now_us;
    view.step_seed = counter_random(epoch_.value, next_step_);
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
    const Status checked = check_plan(view, plan);
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
    return !plan.empty() && check_plan(view, plan).ok();
}

bool EngineCore::plan_once(std::int64_t now_us) {
    if (waiting_.size() + prefilling_.size() + decodable_.size() == 0) return false;
    const SchedulerView view = make_view(now_us);
    StepPlan plan;
    scheduler_->plan(view, plan);
    if (!accept(view, plan)) return false;
    launch(plan, now_us);
    return true;
}

void EngineCore::launch(const StepPlan& plan, std::int64_t now_us) {
    const StepId step(next_step_++);
    const auto make_part = [&](PartKind kind) {
        Part part;
        part.epoch = epoch_;
        part.step = step;
        part.kind = kind;
        return part;
    };
    const auto make_record = [&](PartKind kind) {
        LaunchedPart launched;
        launched.kind = kind;
        launched.step = step;
        launched.launched_us = now_us;
        return launched;
    };
    if (!plan.decode.empty()) {
        Part part = make_part(PartKind::decode);
        LaunchedPart launched = make_record(PartKind::decode);
        for (SequenceId id : plan.decode) add_run(*find(id), 1, part, launched);
        launch_part(std::move(part), std::move(launched));
    }
    if (!plan.prefill.empty()) {
        Part part = make_part(PartKind::prefill);
        LaunchedPart launched = make_record(PartKind::prefill);
        for (const PrefillRun& run : plan.prefill) {
            Sequence& sequence = *find(run.sequence);
            if (sequence.phase == Sequence::Phase::waiting) admit(sequence);
            add_run(sequence, run.count, part, launched);
        }
        launch_part(std::move(part), std::move(launched));
    }
    counters_.max_micro_batches_in_flight = std::max(
        counters_.max_micro_batches_in_flight, static_cast<std::int32_t>(steps_in_flight_.size()));
}

void EngineCore::admit(Sequence& sequence) {
    waiting_.remove(&sequence.view);
    prefilling_.push_back(&sequence.view);
    sequence.phase = Sequence::Phase::prefilling;
    pool_.reserve(sequence.view.blocks_needed);
    sequence.reserved_left = sequence.view.blocks_needed;
    ++running_;
}

void EngineCore::open(Sequence& sequence, Part& part) {
    SequenceOpen open;
    open.id = sequence.view.id;
    open.prompt = sequence.request.prompt;
    open.temperature = sequence.request.temperature;
    open.seed = sequence.request.seed;
    open.hash_logits = sequence.request.hash_logits;
    part.opens.push_back(std::move(open));
    sequence.opened = true;
}

void EngineCore::add_run(Sequence& sequence, std::int32_t count, Part& part,
                         LaunchedPart& launched) {
    SequenceView& view = sequence.view;
    if (!sequence.opened) open(sequence, part);
    SequenceRun run;
    run.id = view.id;
    run.position = view.scheduled;
    run.count = count;
    if (part.kind == PartKind::decode) {
        run.tokens.push_back(sequence.tokens.back());
        run.sample_count = 1;
        decodable_.remove(&view);
        ++decoding_in_flight_;
    } else {
        prefill_rows_in_flight_ += count;
        if (view.scheduled + count == view.prompt_tokens) {
            run.sample_count = 1;
            prefilling_.remove(&view);
        }
    }
    const std::int32_t end = run.position + count;
    while (static_cast<std::int32_t>(sequence.blocks.size()) * options_.block_tokens < end) {
        const BlockId block = pool_.take();
        --sequence.reserved_left;
        sequence.blocks.push_back(block);
        run.new_blocks.push_back(block);
    }
    view.scheduled = end;
    ++view.parts_in_flight;
    launched.rows += count;
    launched.runs.push_back({&sequence, run.position, count, run.sample_count});
    part.runs.push_back(std::move(run));
}

void EngineCore::launch_part(Part part, LaunchedPart launched) {
    part.id = PartId(next_part_++);
    part.releases = std::move(releases_);
    releases_.clear();
    ++(part.kind == PartKind::decode ? decode_parts_in_flight_ : prefill_parts_in_flight_);
    ++steps_in_flight_[part.step];
    in_flight_.emplace(part.id, std::move(launched));
    parts_.launch(std::move(part));
}

}  // namespace molink
