#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <molink/engine.h>

#include "serve/api_error.h"
#include "serve/completion_request.h"
#include "serve/token_logprobs.h"

namespace molink::examples {

/// Makes the text of an answer from the events of its requests: server-sent events of a stream, or
/// one whole answer. Not thread-safe.
class CompletionAnswer {
public:
    /// `request` without its prompts' text; both references must outlive it.
    CompletionAnswer(const Engine& engine, const CompletionRequest& request, std::string id);

    /// Adds an event of the request for prompt `prompt`.
    void add(std::size_t prompt, RequestEvent event);
    /// Returns the output since the last call.
    std::string take_output() { return std::exchange(output_, std::string()); }
    /// Returns whether all events were added. An answer with an error is finished.
    bool finished() const { return finished_; }
    const std::optional<ApiError>& error() const { return error_; }

private:
    struct Choice {
        std::string text;
        std::string finish_reason;  // empty: not finished
        TokenLogprobList logprobs;
        std::int64_t characters = 0;  // of the text that was shown
    };

    void add_to_choice(std::size_t index, RequestEvent& event);
    nlohmann::json take_logprobs(Choice& choice, const GenerateRequest& request);
    nlohmann::json usage() const;
    nlohmann::json frame(nlohmann::json choices) const;
    void add_piece(std::size_t index, const RequestEvent& event);
    void finish();

    const Engine& engine_;
    const CompletionRequest& request_;
    std::string id_;
    std::int64_t created_ = 0;
    bool ids_as_text_ = false;  // no tokenizer: the text has the ids, each after a space
    std::vector<Choice> choices_;
    std::size_t open_requests_ = 0;
    std::int64_t prompt_tokens_ = 0;
    std::int64_t cached_tokens_ = 0;
    std::int64_t output_tokens_ = 0;
    std::string output_;
    bool finished_ = false;
    std::optional<ApiError> error_;
};

}  // namespace molink::examples
