// Requests in, events out: admission, the life of sequences and the end of epochs. The planning
// half is in engine_step.cpp, the retirement half in engine_retire.cpp, blocks and the prefix cache
// in engine_blocks.cpp. A sequence's blocks go back to the pool only when every part that names
// them is retired or its epoch has ended (DESIGN section 4, Blocks).
#include "engine/engine_core.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "engine/histogram.h"

namespace molink {

EngineCore::EngineCore(EngineCoreOptions options, std::unique_ptr<Scheduler> scheduler,
                       PartSink& parts, RequestEventSink& events, Log log)
    : options_(std::move(options)),
      scheduler_(scheduler ? std::move(scheduler) : make_adaptive_scheduler()),
      fallback_(make_depth_scheduler()),
      parts_(parts),
      events_(events),
      log_(log) {
    counters_.time_to_first_token_s = counters_.time_per_output_token_s = make_time_histogram();
    counters_.queue_s = counters_.request_s = make_time_histogram();
    counters_.decode_part_rows = counters_.prefill_part_rows = make_rows_histogram();
}

EngineCore::~EngineCore() = default;

void EngineCore::begin_epoch(PipelineEpoch epoch, std::vector<StageView> stages,
                             std::int64_t kv_blocks, bool direct_feedback) {
    serving_ = true;
    direct_feedback_ = direct_feedback;
    epoch_ = epoch;
    stages_ = std::move(stages);
    meter_.reset(stages_);
    pool_ = BlockPool(kv_blocks);
    prefixes_.clear();
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
    in_flight_.clear();
    steps_in_flight_.clear();
    for (auto& [id, sequence] : sequences_) sequence->view.parts_in_flight = 0;
    cancel_all(reason, now_us);
    waiting_.clear();
    prefilling_.clear();
    decodable_.clear();
    releases_.clear();
    running_ = 0;
    decoding_in_flight_ = decode_parts_in_flight_ = 0;
    prefill_parts_in_flight_ = prefill_rows_in_flight_ = 0;
    sequences_.clear();
    by_request_.clear();
}

Status EngineCore::refuse(Status reason) {
    ++counters_.requests_refused;
    return reason;
}

Status EngineCore::submit(AdmittedRequest request, std::int64_t now_us) {
    if (!serving_) return Status(StatusCode::unavailable, "no pipeline serves");
    const auto waiting = static_cast<std::int32_t>(waiting_.size());
    if (running_ + waiting + request.n > options_.max_running + options_.max_waiting) {
        return refuse(
            make_error(StatusCode::resource_exhausted,
                       "{} sequences run and {} wait, {} more ask; the limits are {} and {}",
                       running_, waiting, request.n, options_.max_running, options_.max_waiting));
    }
    const auto prompt = static_cast<std::int32_t>(request.prompt.size());
    const std::int32_t positions = prompt + request.max_tokens;
    if (blocks_for(positions) > pool_.total()) {
        return refuse(
            make_error(StatusCode::resource_exhausted,
                       "request of {} prompt and up to {} output tokens needs {} KV blocks of {} "
                       "positions; the pipeline has {}",
                       prompt, request.max_tokens, blocks_for(positions), options_.block_tokens,
                       pool_.total()));
    }
    const auto shared = std::make_shared<const AdmittedRequest>(std::move(request));
    std::vector<SequenceId>& completions = by_request_[shared->id];
    for (std::int32_t i = 0; i < shared->n; ++i) {
        auto sequence = std::make_unique<Sequence>();
        sequence->request = shared;
        sequence->index = i;
        sequence->tokens = shared->prompt;
        sequence->view.id = SequenceId(next_sequence_++);
        sequence->view.arrival_us = now_us;
        sequence->view.prompt_tokens = prompt;
        sequence->view.max_tokens = positions;
        refresh_need(*sequence);
        if (options_.tokenizer != nullptr) {
            sequence->detokenizer = std::make_unique<Detokenizer>(*options_.tokenizer, true);
        }
        if (!shared->stop.empty()) sequence->stops = std::make_unique<StopMatcher>(shared->stop);
        completions.push_back(sequence->view.id);
        waiting_.push_back(&sequence->view);
        sequences_[sequence->view.id] = std::move(sequence);
    }
    ++counters_.requests_submitted;
    return {};
}

void EngineCore::cancel(RequestId request, const Status& reason, std::int64_t now_us) {
    const auto found = by_request_.find(request);
    if (found == by_request_.end()) return;
    const bool by_caller = reason.code() == StatusCode::cancelled;
    const std::vector<SequenceId> completions = found->second;
    for (SequenceId id : completions) {
        Sequence* sequence = find(id);
        if (sequence == nullptr || sequence->view.state == SequenceState::finished) continue;
        finish(*sequence, by_caller ? FinishReason::cancelled : FinishReason::error, reason,
               now_us);
    }
}

void EngineCore::cancel_all(const Status& reason, std::int64_t now_us) {
    std::vector<RequestId> requests;
    for (const auto& [request, completions] : by_request_) requests.push_back(request);
    std::sort(requests.begin(), requests.end());
    for (RequestId request : requests) cancel(request, reason, now_us);
}

void EngineCore::leave_queues(Sequence& sequence) {
    switch (sequence.view.state) {
        case SequenceState::waiting: waiting_.remove(&sequence.view); break;
        case SequenceState::prefilling: prefilling_.remove(&sequence.view); break;
        case SequenceState::decodable: decodable_.remove(&sequence.view); break;
        case SequenceState::in_flight:
        case SequenceState::finished: break;
    }
}

void EngineCore::finish(Sequence& sequence, FinishReason reason, const Status& status,
                        std::int64_t now_us) {
    const bool cancelled = reason == FinishReason::cancelled;
    const bool was_waiting = sequence.view.state == SequenceState::waiting;
    if (canary(Canary::cancelled_goes_on) && cancelled && !was_waiting) {
        events_.on_request_event(last_event(sequence, reason, status, now_us));
        return;
    }
    leave_queues(sequence);
    if (!was_waiting) --running_;
    sequence.view.state = SequenceState::finished;
    RequestEvent event = last_event(sequence, reason, status, now_us);
    if (canary(Canary::ended_twice) && cancelled && !was_waiting) events_.on_request_event(event);
    if (event.last) by_request_.erase(sequence.request->id);
    events_.on_request_event(std::move(event));
    count_end(sequence, reason, now_us);
    if (canary(Canary::leaked_block) && cancelled && !sequence.blocks.empty()) {
        sequence.blocks.pop_back();
    }
    if (canary(Canary::block_reused_early)) give_back_blocks(sequence);
    forget_if_idle(sequence);
}

RequestEvent EngineCore::last_event(Sequence& sequence, FinishReason reason, const Status& status,
                                    std::int64_t now_us) {
    std::vector<SequenceId>& completions = by_request_[sequence.request->id];
    std::erase(completions, sequence.view.id);
    RequestEvent event;
    event.request = sequence.request->id;
    event.index = sequence.index;
    event.finish_reason = reason;
    event.last = completions.empty();
    event.status = status;
    if (sequence.detokenizer != nullptr) {
        if (sequence.stops != nullptr) event.text = sequence.stops->flush();
        event.text += sequence.detokenizer->flush();
    }
    event.prompt_token_count = static_cast<std::int32_t>(sequence.request->prompt.size());
    event.cached_token_count = sequence.cached_tokens;
    event.output_token_count = sequence.output_count;
    if (sequence.first_token_us != 0) {
        event.time_to_first_token_us = sequence.first_token_us - sequence.request->submitted_us;
    }
    event.total_us = now_us - sequence.request->submitted_us;
    event.logit_hashes = std::move(sequence.logit_hashes);
    return event;
}

void EngineCore::count_end(const Sequence& sequence, FinishReason reason, std::int64_t now_us) {
    const auto seconds = [](std::int64_t us) { return static_cast<double>(us) * 1e-6; };
    if (reason == FinishReason::cancelled) {
        ++counters_.requests_cancelled;
    } else if (reason == FinishReason::error) {
        ++counters_.requests_failed;
    } else {
        ++counters_.requests_finished;
        record(counters_.request_s, seconds(now_us - sequence.request->submitted_us));
        if (sequence.output_count > 1) {
            const double gaps = sequence.output_count - 1;
            record(counters_.time_per_output_token_s,
                   seconds(now_us - sequence.first_token_us) / gaps);
        }
    }
}

void EngineCore::forget_if_idle(Sequence& sequence) {
    if (sequence.view.state != SequenceState::finished) return;
    if (sequence.view.parts_in_flight > 0) {
        if (canary(Canary::release_before_retire) && sequence.opened) {
            releases_.push_back(sequence.wire_id);
            sequence.opened = false;
        }
        return;
    }
    give_back_blocks(sequence);
    if (sequence.opened) releases_.push_back(sequence.wire_id);
    sequences_.erase(sequence.view.id);
}

std::size_t EngineCore::ended_in_flight() const {
    std::size_t count = 0;
    for (const auto& [id, sequence] : sequences_) {
        if (sequence->view.state == SequenceState::finished) ++count;
    }
    return count;
}

Sequence* EngineCore::find(SequenceId id) {
    const auto found = sequences_.find(id);
    return found == sequences_.end() ? nullptr : found->second.get();
}

void EngineCore::fill_metrics(MetricsSnapshot& metrics) const {
    metrics = counters_;
    metrics.running = running_;
    metrics.waiting = static_cast<std::int32_t>(waiting_.size());
    metrics.kv_blocks_total = pool_.total();
    metrics.kv_blocks_free = pool_.available();
    metrics.kv_blocks_cached = pool_.idle_count();
    metrics.epoch = epoch_.epoch.value;
    metrics.stages = meter_.totals();
    for (std::size_t i = 0; i < metrics.stages.size() && i < stages_.size(); ++i) {
        metrics.stages[i].layers = stages_[i].layers;
    }
}

Status EngineCore::check() const {
    std::vector<std::uint32_t> holders(static_cast<std::size_t>(pool_.total()), 0);
    if (!serving_) return {};
    std::int64_t promised = 0;
    for (const auto& [id, sequence] : sequences_) {
        for (BlockId block : sequence->blocks) ++holders[block.value];
        promised += sequence->reserved_left;
    }
    MOLINK_RETURN_IF_ERROR(pool_.check(holders));
    const std::int64_t available = pool_.free_count() + pool_.idle_count() - promised;
    if (available != pool_.available()) {
        return make_error(StatusCode::internal,
                          "{} KV blocks are promised to sequences, {} would be available; the pool "
                          "says {}",
                          promised, available, pool_.available());
    }
    return {};
}

}  // namespace molink
