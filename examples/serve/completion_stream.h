#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <molink/engine.h>

#include "serve/completion_request.h"

namespace molink::examples {

/// Answers one POST /v1/completions. It submits the prompts, collects their events from the
/// engine's delivery thread and passes them to the connection's thread. The destructor cancels
/// requests that still run.
class CompletionStream {
public:
    CompletionStream(Engine& engine, CompletionRequest request, std::string id);
    ~CompletionStream();

    /// Submits all prompts. If one is refused, returns its error and submits none.
    std::optional<ApiError> begin();
    /// Waits up to timeout_ms for events and appends the next output to `out`: server-sent events
    /// of a stream, or the complete answer. Returns false if there was no output. Thread: one.
    bool next(int timeout_ms, std::string& out);
    /// Returns whether all output was returned.
    bool finished() const { return finished_; }
    /// Returns whether a request ended with an error. The last output of next() contains the error.
    bool failed() const { return failed_; }
    bool is_stream() const { return request_.stream; }

private:
    /// Shared with callbacks, which may run after this object is destroyed.
    struct Inbox {
        std::mutex mutex;
        std::condition_variable signal;
        std::deque<std::pair<std::size_t, RequestEvent>> events;  // prompt index, event
    };
    struct Choice {
        std::string text;
        std::string finish_reason;
        std::vector<Token> tokens;
        std::vector<TokenLogprobs> logprobs;
        std::size_t text_offset = 0;  // characters sent in earlier pieces
    };

    void add_event(std::size_t prompt, RequestEvent event, std::string& out);
    void finish(std::string& out);
    std::string piece(std::size_t index, const RequestEvent& event);
    std::string whole() const;

    Engine& engine_;
    CompletionRequest request_;
    std::string id_;
    std::int64_t created_ = 0;
    bool ids_as_text_ = false;  // no tokenizer: the text has the ids, each after a space
    std::shared_ptr<Inbox> inbox_;
    std::vector<RequestId> running_;
    std::vector<Choice> choices_;
    std::size_t open_requests_ = 0;
    std::int64_t prompt_tokens_ = 0;
    std::int64_t cached_tokens_ = 0;
    std::int64_t output_tokens_ = 0;
    bool finished_ = false;
    bool failed_ = false;
};

/// Converts an error of the engine to one of the API.
ApiError to_api_error(const Status& status);

}  // namespace molink::examples
