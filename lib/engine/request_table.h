#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include <molink/metrics.h>
#include <molink/request.h>

#include "engine/sequence.h"
#include "tokenizer/tokenizer.h"

namespace molink {

/// Where events of requests go. Called on the head's loop; must not call back.
class RequestEventSink {
public:
    virtual ~RequestEventSink() = default;
    virtual void on_request_event(RequestEvent event) = 0;
};

/// Requests, their completions and their ends. Owns the sequences. Invariants: each completion gets
/// exactly one event with a finish reason, which is its last; exactly one event of a request is its
/// last, and nothing follows it. Thread: the head's loop.
class RequestTable {
public:
    /// `eos_tokens`: end every completion that does not ignore them. `tokenizer`: null when events
    /// carry tokens without text. Both pointers and `events` must outlive the table.
    RequestTable(const std::vector<Token>& eos_tokens, const Tokenizer* tokenizer,
                 RequestEventSink& events);

    /// Makes a waiting sequence of each completion. `positions`: of prompt and output.
    std::vector<Sequence*> add(AdmittedRequest request, std::int32_t positions,
                               std::int64_t now_us);
    /// Null when there is none.
    Sequence* find(SequenceId id);
    const Sequence* find(SequenceId id) const;
    /// Completions of a request that have not ended.
    std::vector<Sequence*> unfinished(RequestId request);
    /// Requests with such completions, in order of their ids.
    std::vector<RequestId> unfinished_requests() const;
    /// All sequences that there are, finished ones included.
    std::vector<const Sequence*> sequences() const;

    /// Appends a sampled token and emits its event. Returns why the completion has to end now:
    /// `none` when it goes on. A token that ends it is not part of the output.
    FinishReason append_token(Sequence& sequence, Token token, const TokenLogprobs* logprobs,
                              std::int64_t now_us);
    /// Emits the completion's last event. The sequence stays until erase().
    void end(Sequence& sequence, FinishReason reason, const Status& status, std::int64_t now_us);
    void erase(SequenceId id) { sequences_.erase(id); }
    /// Forgets every sequence; all completions have ended.
    void clear();

    /// Counts a request that was not added.
    void count_refusal() { ++counters_.requests_refused; }
    /// Counts the end of a completion's wait for its first part.
    void count_start(const Sequence& sequence, std::int64_t now_us);
    void fill_metrics(MetricsSnapshot& metrics) const;

private:
    struct Ends {
        std::uint64_t submitted = 0;
        std::uint64_t finished = 0;
        std::uint64_t failed = 0;
        std::uint64_t cancelled = 0;
        void count(FinishReason reason);
    };
    struct Unfinished {
        std::vector<SequenceId> completions;
        FinishReason worst = FinishReason::stop;  // of those that ended
    };

    bool ends_at(const Sequence& sequence, Token token) const;
    RequestEvent last_event(Sequence& sequence, FinishReason reason, const Status& status,
                            std::int64_t now_us);
    bool end_completion(const Sequence& sequence, FinishReason reason);
    void count_end(const Sequence& sequence, FinishReason reason, std::int64_t now_us);

    std::vector<Token> eos_tokens_;
    const Tokenizer* tokenizer_;
    RequestEventSink& events_;
    std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
    std::unordered_map<RequestId, Unfinished> unfinished_;
    std::uint64_t next_sequence_ = 1;

    struct Counters {
        Ends requests;
        Ends completions;
        std::uint64_t requests_refused = 0;
        std::uint64_t output_tokens = 0;
        Histogram time_to_first_token_s;
        Histogram time_per_output_token_s;
        Histogram queue_s;
        Histogram request_s;
    };
    Counters counters_;
};

}  // namespace molink
