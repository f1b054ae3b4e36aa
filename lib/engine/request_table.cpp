// Requests in, events out. Text is made here: the detokenizer holds back incomplete characters, the
// stop matcher what may become a stop string, and the last event brings what is left. Relies on
// callers ending a completion when append_token() says so.
#include "engine/request_table.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/seconds.h"
#include "engine/histogram.h"

namespace molink {
namespace {

/// Counts the characters of UTF-8.
std::int32_t count_characters(std::string_view text) {
    return static_cast<std::int32_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

RequestTable::RequestTable(const std::vector<Token>& eos_tokens, const Tokenizer* tokenizer,
                           RequestEventSink& events)
    : eos_tokens_(eos_tokens), tokenizer_(tokenizer), events_(events) {
    counters_.time_to_first_token_s = counters_.time_per_output_token_s = make_time_histogram();
    counters_.queue_s = counters_.request_s = make_time_histogram();
}

std::vector<Sequence*> RequestTable::add(AdmittedRequest request, std::int32_t positions,
                                         std::int64_t now_us) {
    const auto shared = std::make_shared<const AdmittedRequest>(std::move(request));
    std::vector<Sequence*> added;
    for (std::int32_t i = 0; i < shared->n; ++i) {
        auto sequence = std::make_unique<Sequence>();
        sequence->request = shared;
        sequence->index = i;
        sequence->tokens = shared->prompt;
        SequenceView& view = sequence->view;
        view.id = SequenceId(next_sequence_++);
        view.request = shared->id;
        view.completion = i;
        view.arrival_us = now_us;
        view.prompt_tokens = static_cast<std::int32_t>(shared->prompt.size());
        view.max_tokens = positions;
        view.tokens = sequence->tokens;
        if (tokenizer_ != nullptr) {
            sequence->detokenizer = std::make_unique<Detokenizer>(*tokenizer_, true);
        }
        if (!shared->stop.empty()) sequence->stops = std::make_unique<StopMatcher>(shared->stop);
        unfinished_[shared->id].completions.push_back(view.id);
        added.push_back(sequence.get());
        sequences_[view.id] = std::move(sequence);
    }
    ++counters_.requests.submitted;
    counters_.completions.submitted += static_cast<std::uint64_t>(shared->n);
    return added;
}

Sequence* RequestTable::find(SequenceId id) {
    const auto found = sequences_.find(id);
    return found == sequences_.end() ? nullptr : found->second.get();
}

const Sequence* RequestTable::find(SequenceId id) const {
    const auto found = sequences_.find(id);
    return found == sequences_.end() ? nullptr : found->second.get();
}

std::vector<Sequence*> RequestTable::unfinished(RequestId request) {
    std::vector<Sequence*> completions;
    const auto found = unfinished_.find(request);
    if (found == unfinished_.end()) return completions;
    for (SequenceId id : found->second.completions) completions.push_back(find(id));
    return completions;
}

std::vector<RequestId> RequestTable::unfinished_requests() const {
    std::vector<RequestId> requests;
    for (const auto& [request, completions] : unfinished_) requests.push_back(request);
    std::sort(requests.begin(), requests.end());
    return requests;
}

std::vector<const Sequence*> RequestTable::sequences() const {
    std::vector<const Sequence*> all;
    for (const auto& [id, sequence] : sequences_) all.push_back(sequence.get());
    return all;
}

bool RequestTable::ends_at(const Sequence& sequence, Token token) const {
    const auto holds = [token](const std::vector<Token>& tokens) {
        return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
    };
    const AdmittedRequest& request = *sequence.request;
    return holds(request.stop_tokens) || (!request.ignore_eos && holds(eos_tokens_));
}

FinishReason RequestTable::append_token(Sequence& sequence, Token token,
                                        const TokenLogprobs* logprobs, std::int64_t now_us) {
    const AdmittedRequest& request = *sequence.request;
    if (sequence.first_token_us == 0) {
        sequence.first_token_us = now_us;
        record(counters_.time_to_first_token_s, seconds(now_us - request.submitted_us));
    }
    if (ends_at(sequence, token)) return FinishReason::stop;
    sequence.tokens.push_back(token);
    sequence.view.tokens = sequence.tokens;
    ++sequence.output_count;
    ++counters_.output_tokens;
    RequestEvent event;
    event.request = request.id;
    event.index = sequence.index;
    event.tokens.push_back(token);
    if (logprobs != nullptr) event.logprobs.push_back(*logprobs);
    bool stopped = false;
    if (sequence.detokenizer != nullptr) {
        event.text_offsets.push_back(sequence.text_characters);
        event.text = sequence.detokenizer->push(token);
        sequence.text_characters += count_characters(event.text);
        if (sequence.stops != nullptr && sequence.output_count > request.min_tokens) {
            event.text = sequence.stops->push(event.text, stopped);
        }
    }
    events_.on_request_event(std::move(event));
    if (stopped) {
        sequence.detokenizer.reset();  // what it still holds lies beyond the stop string
        return FinishReason::stop;
    }
    return sequence.output_count >= request.max_tokens ? FinishReason::length : FinishReason::none;
}

void RequestTable::Ends::count(FinishReason reason) {
    if (reason == FinishReason::error) {
        ++failed;
    } else if (reason == FinishReason::cancelled) {
        ++cancelled;
    } else {
        ++finished;
    }
}

/// Counts the end of a completion. Returns whether it was the last of its request.
bool RequestTable::end_completion(const Sequence& sequence, FinishReason reason) {
    const auto found = unfinished_.find(sequence.request->id);
    Unfinished& open = found->second;
    std::erase(open.completions, sequence.view.id);
    counters_.completions.count(reason);
    // The reasons are ordered so: what is finished, cancelled, failed.
    open.worst = std::max(open.worst, reason);
    if (!open.completions.empty()) return false;
    counters_.requests.count(open.worst);
    unfinished_.erase(found);
    return true;
}

RequestEvent RequestTable::last_event(Sequence& sequence, FinishReason reason, const Status& status,
                                      std::int64_t now_us) {
    const AdmittedRequest& request = *sequence.request;
    RequestEvent event;
    event.request = request.id;
    event.index = sequence.index;
    event.finish_reason = reason;
    event.last = end_completion(sequence, reason);
    event.status = status;
    if (sequence.detokenizer != nullptr) {
        if (sequence.stops != nullptr) event.text = sequence.stops->flush();
        event.text += sequence.detokenizer->flush();
    }
    event.prompt_token_count = static_cast<std::int32_t>(request.prompt.size());
    event.cached_token_count = sequence.cached_tokens;
    event.output_token_count = sequence.output_count;
    if (sequence.first_token_us != 0) {
        event.time_to_first_token_us = sequence.first_token_us - request.submitted_us;
    }
    event.total_us = now_us - request.submitted_us;
    event.logit_hashes = std::move(sequence.logit_hashes);
    return event;
}

void RequestTable::end(Sequence& sequence, FinishReason reason, const Status& status,
                       std::int64_t now_us) {
    RequestEvent event = last_event(sequence, reason, status, now_us);
    const bool started = sequence.admitted;
    if (canary(Canary::ended_twice) && reason == FinishReason::cancelled && started) {
        events_.on_request_event(event);
    }
    events_.on_request_event(std::move(event));
    count_end(sequence, reason, now_us);
}

void RequestTable::count_start(const Sequence& sequence, std::int64_t now_us) {
    record(counters_.queue_s, seconds(now_us - sequence.request->submitted_us));
}

void RequestTable::count_end(const Sequence& sequence, FinishReason reason, std::int64_t now_us) {
    if (reason == FinishReason::cancelled || reason == FinishReason::error) return;
    record(counters_.request_s, seconds(now_us - sequence.request->submitted_us));
    if (sequence.output_count < 2) return;
    const double gaps = sequence.output_count - 1;
    record(counters_.time_per_output_token_s, seconds(now_us - sequence.first_token_us) / gaps);
}

void RequestTable::clear() {
    sequences_.clear();
    unfinished_.clear();
}

void RequestTable::fill_metrics(MetricsSnapshot& metrics) const {
    metrics.requests_submitted = counters_.requests.submitted;
    metrics.requests_finished = counters_.requests.finished;
    metrics.requests_failed = counters_.requests.failed;
    metrics.requests_cancelled = counters_.requests.cancelled;
    metrics.requests_under_way = unfinished_.size();
    metrics.completions_submitted = counters_.completions.submitted;
    metrics.completions_finished = counters_.completions.finished;
    metrics.completions_failed = counters_.completions.failed;
    metrics.completions_cancelled = counters_.completions.cancelled;
    for (const auto& [request, open] : unfinished_) {
        metrics.completions_under_way += open.completions.size();
    }
    metrics.requests_refused = counters_.requests_refused;
    metrics.output_tokens = counters_.output_tokens;
    metrics.time_to_first_token_s = counters_.time_to_first_token_s;
    metrics.time_per_output_token_s = counters_.time_per_output_token_s;
    metrics.queue_s = counters_.queue_s;
    metrics.request_s = counters_.request_s;
}

}  // namespace molink
