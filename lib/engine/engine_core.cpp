// Requests in, events out: admission, the life of sequences and the end of epochs. The planning
// half is in engine_step.cpp, the retirement half in engine_retire.cpp. A sequence's blocks go back
// to the pool only when every part that names them is retired or its epoch has ended (DESIGN
// section 4, Blocks).
#include "engine/engine_core.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace molink {

EngineCore::EngineCore(EngineCoreOptions options, std::unique_ptr<Scheduler> scheduler,
                       PartSink& parts, RequestEventSink& events, Log log)
    : options_(std::move(options)),
      scheduler_(scheduler ? std::move(scheduler) : make_depth_scheduler()),
      fallback_(make_depth_scheduler()),
      parts_(parts),
      events_(events),
      log_(log) {}

EngineCore::~EngineCore() = default;

void EngineCore::begin_epoch(Epoch epoch, std::vector<StageView> stages, std::int64_t kv_blocks) {
    serving_ = true;
    epoch_ = epoch;
    stages_ = std::move(stages);
    meter_.reset(stages_.size());
    pool_ = BlockPool(kv_blocks);
    counters_.max_micro_batches_in_flight = 0;
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

Status EngineCore::submit(AdmittedRequest request, std::int64_t now_us) {
    if (!serving_) return Status(StatusCode::unavailable, "no pipeline serves");
    const auto waiting = static_cast<std::int32_t>(waiting_.size());
    if (running_ + waiting >= options_.max_running + options_.max_waiting) {
        return make_error(StatusCode::resource_exhausted,
                          "{} requests run and {} wait; the limits are {} and {}", running_,
                          waiting, options_.max_running, options_.max_waiting);
    }
    const auto prompt = static_cast<std::int32_t>(request.prompt.size());
    const std::int32_t positions = prompt + request.max_tokens;
    const std::int32_t blocks = (positions + options_.block_tokens - 1) / options_.block_tokens;
    if (blocks > pool_.total()) {
        return make_error(
            StatusCode::resource_exhausted,
            "request of {} prompt and up to {} output tokens needs {} KV blocks of {} "
            "positions; the pipeline has {}",
            prompt, request.max_tokens, blocks, options_.block_tokens, pool_.total());
    }
    auto sequence = std::make_unique<Sequence>();
    sequence->view.id = SequenceId(next_sequence_++);
    sequence->view.arrival_us = now_us;
    sequence->view.prompt_tokens = prompt;
    sequence->view.max_tokens = positions;
    sequence->view.blocks_needed = blocks;
    sequence->tokens = request.prompt;
    sequence->request = std::move(request);
    if (options_.tokenizer != nullptr) {
        sequence->detokenizer = std::make_unique<Detokenizer>(*options_.tokenizer, true);
    }
    by_request_[sequence->request.id] = sequence->view.id;
    waiting_.push_back(&sequence->view);
    sequences_[sequence->view.id] = std::move(sequence);
    ++counters_.requests_submitted;
    return {};
}

void EngineCore::cancel(RequestId request, const Status& reason, std::int64_t now_us) {
    const auto found = by_request_.find(request);
    if (found == by_request_.end()) return;
    Sequence* sequence = find(found->second);
    if (sequence == nullptr || sequence->phase == Sequence::Phase::finished) return;
    const bool by_caller = reason.code() == StatusCode::cancelled;
    finish(*sequence, by_caller ? FinishReason::cancelled : FinishReason::error, reason, now_us);
}

void EngineCore::cancel_all(const Status& reason, std::int64_t now_us) {
    std::vector<RequestId> requests;
    for (const auto& [request, id] : by_request_) requests.push_back(request);
    std::sort(requests.begin(), requests.end());
    for (RequestId request : requests) cancel(request, reason, now_us);
}

void EngineCore::finish(Sequence& sequence, FinishReason reason, const Status& status,
                        std::int64_t now_us) {
    if (sequence.phase == Sequence::Phase::waiting) {
        waiting_.remove(&sequence.view);
    } else {
        prefilling_.remove(&sequence.view);
        decodable_.remove(&sequence.view);
        --running_;
    }
    sequence.phase = Sequence::Phase::finished;
    by_request_.erase(sequence.request.id);

    RequestEvent event;
    event.request = sequence.request.id;
    event.finish_reason = reason;
    event.last = true;
    event.status = status;
    if (sequence.detokenizer != nullptr) event.text = sequence.detokenizer->flush();
    event.prompt_token_count = sequence.view.prompt_tokens;
    event.output_token_count = sequence.output_count;
    if (sequence.first_token_us != 0) {
        event.time_to_first_token_us = sequence.first_token_us - sequence.request.submitted_us;
    }
    event.total_us = now_us - sequence.request.submitted_us;
    event.logit_hashes = std::move(sequence.logit_hashes);
    events_.on_request_event(std::move(event));

    if (reason == FinishReason::cancelled) {
        ++counters_.requests_cancelled;
    } else if (reason == FinishReason::error) {
        ++counters_.requests_failed;
    } else {
        ++counters_.requests_finished;
    }
    forget_if_idle(sequence);
}

void EngineCore::forget_if_idle(Sequence& sequence) {
    if (sequence.phase != Sequence::Phase::finished || sequence.view.parts_in_flight > 0) return;
    for (BlockId block : sequence.blocks) {
        const Status released = pool_.release(block);
        if (!released.ok()) log_(LogLevel::error, "{}", released.message());
    }
    pool_.cancel_reservation(sequence.reserved_left);
    if (sequence.opened) releases_.push_back(sequence.view.id);
    sequences_.erase(sequence.view.id);
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
    metrics.epoch = epoch_.value;
    metrics.stages = meter_.totals();
    for (std::size_t i = 0; i < metrics.stages.size() && i < stages_.size(); ++i) {
        metrics.stages[i].layers = stages_[i].layers;
    }
}

Status EngineCore::check() const {
    MOLINK_RETURN_IF_ERROR(pool_.check());
    std::int64_t held = 0;
    for (const auto& [id, sequence] : sequences_) {
        held += static_cast<std::int64_t>(sequence->blocks.size());
    }
    if (serving_ && held != pool_.total() - pool_.free_count()) {
        return make_error(StatusCode::internal, "sequences hold {} KV blocks, the pool lent {}",
                          held, pool_.total() - pool_.free_count());
    }
    return {};
}

}  // namespace molink
