// The checkers of a simulation. Tokens are compared as they arrive, so that a wrong token is found
// when it occurs. At its end a completion is compared with the whole completion that the oracle
// expects. Errors are permitted only when an injected fault explains them.
#include "sim/sim_checker.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "tokenizer/unicode.h"

namespace molink::sim {
namespace {

bool whole_code_points(std::string_view text) {
    for (std::size_t offset = 0; offset < text.size();) {
        const Utf8Step step = utf8_step(text, offset);
        if (step.kind != Utf8Step::Kind::valid) return false;
        offset += step.length;
    }
    return true;
}

template <typename T>
bool begins_with(const std::vector<T>& whole, const std::vector<T>& begin) {
    return begin.size() <= whole.size() && std::equal(begin.begin(), begin.end(), whole.begin());
}

}  // namespace

void EventChecker::fail(RequestId id, std::int32_t index, const std::string& what) {
    if (!failure_.empty()) return;
    failure_ = fmt::format("request {} completion {}: {}", id.value, index, what);
}

void EventChecker::add(RequestId id, const GenerateRequest& request) {
    Request& added = requests_[id];
    added.request = request;
    added.completions.resize(static_cast<std::size_t>(request.n));
    ++counts_.requests;
}

const Expected& EventChecker::expected_of(const Request& request, Completion& completion) const {
    if (!completion.expected) {
        const auto index = static_cast<std::int32_t>(&completion - request.completions.data());
        completion.expected = expect(request.request, index, layers_);
    }
    return *completion.expected;
}

std::optional<Token> EventChecker::expected_token(RequestId id, std::int32_t index,
                                                  std::int32_t position) {
    const auto found = requests_.find(id);
    if (found == requests_.end()) return std::nullopt;
    Request& request = found->second;
    const auto& tokens =
        expected_of(request, request.completions[static_cast<std::size_t>(index)]).tokens;
    const auto at = static_cast<std::int64_t>(position) -
                    static_cast<std::int64_t>(request.request.prompt_tokens.size());
    if (at < 0 || at >= std::ssize(tokens)) return std::nullopt;
    return tokens[static_cast<std::size_t>(at)];
}

void EventChecker::add_event(const RequestEvent& event) {
    std::string line =
        fmt::format("{} {} {} {} {};", event.request.value, event.index,
                    static_cast<int>(event.finish_reason), event.total_us, event.text);
    for (Token token : event.tokens) line += std::to_string(token) + ",";
    digest_ = hash_string(line, digest_);
    const auto found = requests_.find(event.request);
    if (found == requests_.end()) {
        fail(event.request, event.index,
             "an event arrived, but the request has ended or was never made");
        return;
    }
    Request& request = found->second;
    if (event.index < 0 || event.index >= request.request.n) {
        fail(event.request, event.index,
             fmt::format("an event arrived, but there are {} completions", request.request.n));
        return;
    }
    Completion& completion = request.completions[static_cast<std::size_t>(event.index)];
    if (completion.ended) {
        fail(event.request, event.index, "an event arrived after the end");
        return;
    }
    check_piece(event, request, completion);
    if (event.finish_reason == FinishReason::none) {
        if (event.last) fail(event.request, event.index, "an event with `last` does not end it");
        return;
    }
    completion.ended = true;
    ++request.ended;
    if (event.last != (request.ended == request.request.n)) {
        fail(event.request, event.index,
             fmt::format("{} of {} completions have ended, but the event has last = {}",
                         request.ended, request.request.n, event.last));
    }
    check_end(event, request, completion);
    count_end(event, request);
    if (request.ended == request.request.n) requests_.erase(found);
}

void EventChecker::check_piece(const RequestEvent& event, Request& request,
                               Completion& completion) {
    const Expected& expected = expected_of(request, completion);
    completion.tokens.insert(completion.tokens.end(), event.tokens.begin(), event.tokens.end());
    completion.text += event.text;
    counts_.tokens += event.tokens.size();
    if (!begins_with(expected.tokens, completion.tokens)) {
        const std::size_t at = completion.tokens.size() - 1;
        fail(event.request, event.index,
             fmt::format("token {} is {}; {} was expected", at, completion.tokens[at],
                         at < expected.tokens.size() ? expected.tokens[at] : -1));
    }
    if (!whole_code_points(event.text)) {
        fail(event.request, event.index, "the text of an event splits a code point");
    }
    if (event.finish_reason == FinishReason::none &&
        expected.text.compare(0, completion.text.size(), completion.text) != 0) {
        fail(event.request, event.index,
             fmt::format("the text is '{}'; the beginning of '{}' was expected", completion.text,
                         expected.text));
    }
    const std::size_t logprobs = request.request.logprobs >= 0 ? event.tokens.size() : 0;
    if (event.logprobs.size() != logprobs) {
        fail(event.request, event.index,
             fmt::format("an event has {} log-probabilities for {} tokens; {} were expected",
                         event.logprobs.size(), event.tokens.size(), logprobs));
    }
}

void EventChecker::check_end(const RequestEvent& event, Request& request, Completion& completion) {
    const Expected& expected = expected_of(request, completion);
    const auto prompt = static_cast<std::int32_t>(request.request.prompt_tokens.size());
    const auto output = static_cast<std::int32_t>(completion.tokens.size());
    if (event.prompt_token_count != prompt || event.output_token_count != output) {
        fail(event.request, event.index,
             fmt::format("the end counts {} prompt and {} output tokens; there were {} and {}",
                         event.prompt_token_count, event.output_token_count, prompt, output));
    }
    check_hashes(event, expected);
    if (event.finish_reason == FinishReason::error) {
        const std::string text = event.status.to_string();
        if (is_expected_fault(event, request)) {
            ++counts_.row_faults;
            return;
        }
        if (errors_forbidden_ || !justified_(text)) {
            fail(event.request, event.index,
                 "it ended with an error that no fault explains: " + text);
        }
        return;
    }
    if (event.finish_reason == FinishReason::cancelled) return;
    if (event.finish_reason != expected.reason || completion.tokens != expected.tokens ||
        completion.text != expected.text) {
        fail(event.request, event.index,
             fmt::format("it ended with '{}' after {} tokens and text '{}'; '{}', {} and '{}' were "
                         "expected",
                         finish_reason_name(event.finish_reason), output, completion.text,
                         finish_reason_name(expected.reason), expected.tokens.size(),
                         expected.text));
    }
}

/// Returns whether the error names the first row that is not a number, of any completion of the
/// request: one of them ends all. All tokens before that row have been delivered.
bool EventChecker::is_expected_fault(const RequestEvent& event, Request& request) {
    const std::string& text = event.status.message();
    int stage = 0, begin = 0, last = 0, position = 0;
    if (event.status.code() != StatusCode::data_loss ||
        std::sscanf(text.c_str(), "stage %d (layers %d-%d) computed", &stage, &begin, &last) != 3) {
        return false;
    }
    const std::size_t at = text.rfind("at position ");
    if (at == std::string::npos ||
        std::sscanf(text.c_str() + at, "at position %d", &position) != 1) {
        return false;
    }
    return std::any_of(request.completions.begin(), request.completions.end(),
                       [&](Completion& completion) {
                           const Expected& expected = expected_of(request, completion);
                           return expected.fault && expected.fault->position == position &&
                                  expected.fault->layer >= begin && expected.fault->layer <= last &&
                                  completion.tokens == expected.tokens;
                       });
}

void EventChecker::check_hashes(const RequestEvent& event, const Expected& expected) {
    for (std::size_t i = 0; i < event.logit_hashes.size(); ++i) {
        const std::uint64_t hash = event.logit_hashes[i];
        if (hash == 0) continue;
        if (i < expected.logit_hashes.size() && hash == expected.logit_hashes[i]) continue;
        fail(event.request, event.index,
             fmt::format("the logits of position {} are not those expected", i));
        return;
    }
}

void EventChecker::count_end(const RequestEvent& event, const Request& request) {
    switch (event.finish_reason) {
        case FinishReason::error: ++counts_.failed; return;
        case FinishReason::cancelled: ++counts_.cancelled; return;
        case FinishReason::stop:
            if (!request.request.stop.empty()) ++counts_.stop_strings;
            ++counts_.completions;
            return;
        case FinishReason::none:
        case FinishReason::length: ++counts_.completions; return;
    }
}

std::string EventChecker::unfinished() const {
    for (const auto& [id, request] : requests_) {
        if (request.ended < request.request.n) {
            return fmt::format("request {}: {} of {} completions have ended", id.value,
                               request.ended, request.request.n);
        }
    }
    return {};
}

std::vector<Token> EventChecker::running_tokens(std::uint64_t random) const {
    std::vector<RequestId> candidates;
    for (const auto& [id, request] : requests_) {
        if (!request.completions[0].tokens.empty()) candidates.push_back(id);
    }
    if (candidates.empty()) return {};
    return tokens_of(candidates[random % candidates.size()]);
}

std::vector<Token> EventChecker::tokens_of(RequestId id) const {
    const auto found = requests_.find(id);
    if (found == requests_.end()) return {};
    std::vector<Token> tokens = found->second.request.prompt_tokens;
    const auto& output = found->second.completions[0].tokens;
    tokens.insert(tokens.end(), output.begin(), output.end());
    return tokens;
}

void WatchedScheduler::plan(const SchedulerView& view, StepPlan& plan) {
    inner_->plan(view, plan);
    std::set<SequenceId> admitted;
    for (const PrefillRun& run : plan.prefill) admitted.insert(run.sequence);
    std::int32_t longest = 0;  // prompt that a later admitted sequence has left
    for (auto at = view.waiting.rbegin(); at != view.waiting.rend(); ++at) {
        const SequenceView& sequence = **at;
        if (admitted.contains(sequence.id)) {
            longest = std::max(longest, sequence.prompt_left());
        } else if (longest >= sequence.prompt_left() && failure_.empty()) {
            failure_ = fmt::format(
                "sequence {} waits with {} tokens to prefill while a later one with {} is admitted",
                sequence.id.value, sequence.prompt_left(), longest);
        }
    }
}

}  // namespace molink::sim
