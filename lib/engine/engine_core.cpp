// The life of sequences: submitted, preempted, ended, and the end of epochs. Launching is in
// engine_launch.cpp, retirement in engine_retire.cpp. A sequence's blocks go back to the pool only
// when every part that names them is retired or its epoch has ended (lib/DESIGN.md, Blocks).
#include "engine/engine_core.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "base/limits.h"
#include "engine/histogram.h"

namespace molink {
namespace {

std::int64_t whole_us(double us) {
    return static_cast<std::int64_t>(std::clamp(us, 0.0, static_cast<double>(limits::kLongestUs)));
}

/// Returns the time of so many rows on the link behind a stage.
std::int64_t link_us(const StageView& stage, std::int32_t rows) {
    const LinkModel& link = stage.link_to_next;
    if (link.bytes_per_s <= 0) return link.delay_us;
    const double bytes = static_cast<double>(stage.row_bytes) * rows;
    return link.delay_us + whole_us(bytes * 1e6 / link.bytes_per_s);
}

}  // namespace

EngineCore::EngineCore(EngineCoreOptions options, std::unique_ptr<Scheduler> scheduler,
                       PartSink& parts, RequestEventSink& events, Log log)
    : options_(std::move(options)),
      parts_(parts),
      log_(log),
      requests_(options_.eos_tokens, options_.tokenizer, events),
      ledger_(options_.block_tokens, options_.prefix_cache),
      planner_(std::move(scheduler), log, options_.watch) {
    counters_.decode_part_rows = counters_.prefill_part_rows = make_rows_histogram();
}

EngineCore::~EngineCore() = default;

void EngineCore::begin_epoch(PipelineEpoch epoch, std::vector<StageView> stages,
                             std::int64_t kv_blocks, bool feeds_back) {
    serving_ = true;
    feeds_back_ = feeds_back;
    epoch_ = epoch;
    stages_ = std::move(stages);
    meter_.reset(stages_);
    ledger_.begin(kv_blocks);
    first_part_ = next_part_;
    counters_.max_micro_batches_in_flight = 0;
}

void EngineCore::set_links(std::span<const LinkModel> links) {
    for (std::size_t i = 0; i < std::min(links.size(), stages_.size()); ++i) {
        stages_[i].link_to_next = links[i];
    }
}

void EngineCore::end_epoch(const Status& reason, std::int64_t now_us) {
    if (!serving_) return;
    serving_ = false;
    flight_.clear();
    cancel_all(reason, now_us);
    queues_.clear();
    releases_.clear();
    requests_.clear();
}

Status EngineCore::submit(AdmittedRequest request, std::int64_t now_us) {
    const auto refuse = [&](Status reason) {
        requests_.count_refusal();
        return reason;
    };
    if (!serving_) {
        return refuse(Status(StatusCode::unavailable, "no pipeline serves requests"));
    }
    const std::int32_t waiting = queues_.waiting_count();
    if (queues_.running() + waiting + request.n > options_.max_running + options_.max_waiting) {
        return refuse(make_error(
            StatusCode::resource_exhausted,
            "{} sequences run and {} wait; {} more do not fit (limits {} and {})",
            queues_.running(), waiting, request.n, options_.max_running, options_.max_waiting));
    }
    const auto prompt = static_cast<std::int32_t>(request.prompt.size());
    const std::int32_t positions = prompt + request.max_tokens;
    if (ledger_.blocks_for(positions) > ledger_.total()) {
        return refuse(invalid_argument(
            "a request of {} prompt tokens and up to {} output tokens needs {} KV blocks of {} "
            "positions; the pipeline has {}",
            prompt, request.max_tokens, ledger_.blocks_for(positions), options_.block_tokens,
            ledger_.total()));
    }
    for (Sequence* sequence : requests_.add(std::move(request), positions, now_us)) {
        ledger_.refresh_need(*sequence);
        queues_.add(sequence->view);
    }
    return {};
}

void EngineCore::cancel(RequestId request, const Status& reason, std::int64_t now_us) {
    const bool by_caller = reason.code() == StatusCode::cancelled;
    for (Sequence* sequence : requests_.unfinished(request)) {
        finish(*sequence, by_caller ? FinishReason::cancelled : FinishReason::error, reason,
               now_us);
    }
}

void EngineCore::cancel_all(const Status& reason, std::int64_t now_us) {
    for (RequestId request : requests_.unfinished_requests()) cancel(request, reason, now_us);
}

void EngineCore::finish(Sequence& sequence, FinishReason reason, const Status& status,
                        std::int64_t now_us) {
    const bool cancelled_while_running =
        reason == FinishReason::cancelled && sequence.view.state != SequenceState::waiting;
    requests_.end(sequence, reason, status, now_us);
    if (canary(Canary::cancelled_goes_on) && cancelled_while_running) return;
    queues_.finish(sequence.view);
    if (canary(Canary::leaked_block) && cancelled_while_running && !sequence.blocks.empty()) {
        sequence.blocks.pop_back();
    }
    if (canary(Canary::block_reused_early)) release_blocks(sequence);
    forget_if_idle(sequence);
}

void EngineCore::preempt(Sequence& sequence) {
    release_blocks(sequence);
    if (sequence.opened) releases_.push_back(sequence.wire_id);
    sequence.opened = false;
    sequence.retired = 0;
    queues_.preempt(sequence.view);
    sequence.view.prompt_tokens = static_cast<std::int32_t>(sequence.tokens.size());
    sequence.view.scheduled = 0;
    ledger_.refresh_need(sequence);
    ++counters_.preemptions;
}

/// A finished sequence goes when no part names it any more, or its pipeline is gone.
void EngineCore::forget_if_idle(Sequence& sequence) {
    if (sequence.view.state != SequenceState::finished) return;
    if (serving_ && sequence.view.parts_in_flight > 0) {
        if (canary(Canary::release_before_retire) && sequence.opened) {
            releases_.push_back(sequence.wire_id);
            sequence.opened = false;
        }
        return;
    }
    release_blocks(sequence);
    if (sequence.opened) releases_.push_back(sequence.wire_id);
    requests_.erase(sequence.view.id);
}

void EngineCore::release_blocks(Sequence& sequence) {
    const Status released = ledger_.release(sequence);
    if (!released.ok()) log_(LogLevel::error, "{}", released.message());
}

void EngineCore::make_decodable(Sequence& sequence) {
    queues_.make_decodable(sequence.view);
    ledger_.refresh_need(sequence);
}

PartsUnderWay EngineCore::parts_under_way() const {
    PartsUnderWay under_way;
    under_way.launched = next_part_ - first_part_;
    under_way.stages.resize(stages_.size());
    for (const auto& [id, part] : flight_) {
        const auto older = [&part](std::optional<std::int64_t>& oldest_us) {
            oldest_us = std::min(oldest_us.value_or(part.launched_us), part.launched_us);
        };
        older(under_way.oldest_us);
        if (part.unknown_tokens == 0) older(under_way.oldest_known_us);
        for (std::size_t i = 0; i < stages_.size(); ++i) {
            const StageView& stage = stages_[i];
            const ServiceTime& service =
                part.kind == PartKind::decode ? stage.decode : stage.prefill;
            under_way.stages[i].total_us += whole_us(service.at(part.row_count));
            under_way.stages[i].link_us += link_us(stage, part.row_count);
        }
    }
    return under_way;
}

std::size_t EngineCore::ended_in_flight() const {
    const auto sequences = requests_.sequences();
    return static_cast<std::size_t>(std::count_if(
        sequences.begin(), sequences.end(),
        [](const Sequence* sequence) { return sequence->view.state == SequenceState::finished; }));
}

void EngineCore::fill_metrics(MetricsSnapshot& metrics) const {
    metrics = MetricsSnapshot();
    requests_.fill_metrics(metrics);
    ledger_.fill_metrics(metrics);
    planner_.fill_metrics(metrics);
    metrics.running = queues_.running();
    metrics.waiting = queues_.waiting_count();
    metrics.prompt_tokens = counters_.prompt_tokens;
    metrics.preemptions = counters_.preemptions;
    metrics.decode_part_rows = counters_.decode_part_rows;
    metrics.prefill_part_rows = counters_.prefill_part_rows;
    metrics.max_micro_batches_in_flight = counters_.max_micro_batches_in_flight;
    metrics.epoch = epoch_.epoch.value;
    metrics.stages = meter_.totals();
    for (std::size_t i = 0; i < metrics.stages.size() && i < stages_.size(); ++i) {
        metrics.stages[i].layers = stages_[i].layers;
    }
}

Status EngineCore::check() const {
    if (!serving_) return {};
    return ledger_.check(requests_.sequences());
}

}  // namespace molink
