// Converts events of the engine to answers of the API. The delivery thread only appends to an
// inbox. The thread of the connection builds the JSON, so that a slow client does not delay others.
#include "serve/completion_stream.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace molink::examples {
namespace {

using Json = nlohmann::json;

/// The API's value for a probability of zero.
constexpr float kLeastLogprob = -9999.0f;

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_utf8(const std::string& text) {
    try {
        (void)Json(text).dump();
        return true;
    } catch (const Json::exception&) {
        return false;
    }
}

std::string token_text(const Engine& engine, Token token) {
    const Token one[] = {token};
    const auto bytes = engine.detokenize(one);
    if (!bytes) return fmt::format("token_id:{}", token);
    if (is_utf8(*bytes)) return *bytes;
    std::string text = "bytes:";
    for (unsigned char byte : *bytes) text += fmt::format("\\x{:02x}", byte);
    return text;
}

std::size_t count_characters(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

Json logprobs_json(const Engine& engine, const std::vector<Token>& tokens,
                   const std::vector<TokenLogprobs>& logprobs, std::size_t offset) {
    Json out{{"tokens", Json::array()},
             {"token_logprobs", Json::array()},
             {"top_logprobs", Json::array()},
             {"text_offset", Json::array()}};
    for (std::size_t i = 0; i < tokens.size() && i < logprobs.size(); ++i) {
        const std::string text = token_text(engine, tokens[i]);
        Json top = Json::object();
        for (const TokenLogprob& item : logprobs[i].top) {
            top[token_text(engine, item.token)] = std::max(item.logprob, kLeastLogprob);
        }
        out["tokens"].push_back(text);
        out["token_logprobs"].push_back(std::max(logprobs[i].logprob, kLeastLogprob));
        out["top_logprobs"].push_back(std::move(top));
        out["text_offset"].push_back(offset);
        offset += count_characters(text);
    }
    return out;
}

}  // namespace

ApiError to_api_error(const Status& status) {
    ApiError error;
    error.message = status.message();
    switch (status.code()) {
        case StatusCode::invalid_argument: error.status = 400; break;
        case StatusCode::resource_exhausted:
            error.status = 429;
            error.type = "rate_limit_error";
            error.code = "rate_limit_exceeded";
            break;
        case StatusCode::unavailable:
        case StatusCode::failed_precondition:
        case StatusCode::cancelled:
            error.status = 503;
            error.type = "service_unavailable_error";
            error.code = "service_unavailable";
            break;
        default:
            error.status = 500;
            error.type = "server_error";
            error.code = "internal_error";
    }
    return error;
}

CompletionStream::CompletionStream(Engine& engine, CompletionRequest request, std::string id)
    : engine_(engine),
      request_(std::move(request)),
      id_(std::move(id)),
      created_(static_cast<std::int64_t>(std::time(nullptr))),
      ids_as_text_(!engine.detokenize({}).has_value()),
      inbox_(std::make_shared<Inbox>()) {}

CompletionStream::~CompletionStream() {
    for (RequestId id : running_) engine_.cancel(id);
}

std::optional<ApiError> CompletionStream::begin() {
    for (std::size_t i = 0; i < request_.prompts.size(); ++i) {
        choices_.resize(choices_.size() + static_cast<std::size_t>(request_.prompts[i].n));
        auto submitted =
            engine_.submit(request_.prompts[i], [inbox = inbox_, i](const RequestEvent& event) {
                const std::lock_guard lock(inbox->mutex);
                inbox->events.emplace_back(i, event);
                inbox->signal.notify_one();
            });
        if (!submitted) return to_api_error(submitted.error());
        running_.push_back(*submitted);
        ++open_requests_;
    }
    return std::nullopt;
}

bool CompletionStream::next(int timeout_ms, std::string& out) {
    std::deque<std::pair<std::size_t, RequestEvent>> events;
    {
        std::unique_lock lock(inbox_->mutex);
        inbox_->signal.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                                [&] { return !inbox_->events.empty(); });
        events.swap(inbox_->events);
    }
    const std::size_t before = out.size();
    for (auto& [prompt, event] : events) {
        if (!finished_) add_event(prompt, std::move(event), out);
    }
    return out.size() > before;
}

void CompletionStream::add_event(std::size_t prompt, RequestEvent event, std::string& out) {
    for (Token token : event.tokens) {
        if (ids_as_text_) event.text += fmt::format(" {}", token);
    }
    if (event.finish_reason == FinishReason::error ||
        event.finish_reason == FinishReason::cancelled) {
        const std::string body = error_body(to_api_error(event.status));
        out += request_.stream ? "data: " + body + "\n\n" : body;
        finished_ = failed_ = true;
        return;
    }
    const auto n = static_cast<std::size_t>(request_.prompts[prompt].n);
    const std::size_t index = prompt * n + static_cast<std::size_t>(event.index);
    Choice& choice = choices_[index];
    const bool ends = event.finish_reason != FinishReason::none;
    if (ends) {
        choice.finish_reason = std::string(finish_reason_name(event.finish_reason));
        if (event.index == 0) {
            prompt_tokens_ += event.prompt_token_count;
            cached_tokens_ += event.cached_token_count;
        }
        output_tokens_ += event.output_token_count;
    }
    if (request_.stream) {
        if (ends || !event.text.empty() || !event.logprobs.empty()) out += piece(index, event);
    } else {
        choice.text += event.text;
        choice.tokens.insert(choice.tokens.end(), event.tokens.begin(), event.tokens.end());
        choice.logprobs.insert(choice.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
    }
    if (event.last && --open_requests_ == 0) finish(out);
}

std::string CompletionStream::piece(std::size_t index, const RequestEvent& event) {
    Choice& choice = choices_[index];
    Json entry{{"text", event.text}, {"index", index}, {"logprobs", nullptr}};
    entry["finish_reason"] = choice.finish_reason.empty() ? Json() : Json(choice.finish_reason);
    if (!event.logprobs.empty()) {
        entry["logprobs"] =
            logprobs_json(engine_, event.tokens, event.logprobs, choice.text_offset);
    }
    choice.text_offset += count_characters(event.text);
    Json chunk{{"id", id_},
               {"object", "text_completion"},
               {"created", created_},
               {"model", request_.model},
               {"choices", Json::array({std::move(entry)})}};
    if (request_.include_usage) chunk["usage"] = nullptr;
    return "data: " + dump(chunk) + "\n\n";
}

void CompletionStream::finish(std::string& out) {
    finished_ = true;
    running_.clear();
    if (!request_.stream) {
        out += whole();
        return;
    }
    if (request_.include_usage) {
        const Json chunk{{"id", id_},
                         {"object", "text_completion"},
                         {"created", created_},
                         {"model", request_.model},
                         {"choices", Json::array()},
                         {"usage",
                          {{"prompt_tokens", prompt_tokens_},
                           {"completion_tokens", output_tokens_},
                           {"total_tokens", prompt_tokens_ + output_tokens_},
                           {"prompt_tokens_details", {{"cached_tokens", cached_tokens_}}}}}};
        out += "data: " + dump(chunk) + "\n\n";
    }
    out += "data: [DONE]\n\n";
}

std::string CompletionStream::whole() const {
    Json choices = Json::array();
    for (std::size_t i = 0; i < choices_.size(); ++i) {
        const Choice& choice = choices_[i];
        Json entry{{"text", choice.text},
                   {"index", i},
                   {"logprobs", nullptr},
                   {"finish_reason", choice.finish_reason}};
        if (!choice.logprobs.empty()) {
            entry["logprobs"] = logprobs_json(engine_, choice.tokens, choice.logprobs, 0);
        }
        choices.push_back(std::move(entry));
    }
    return dump({{"id", id_},
                 {"object", "text_completion"},
                 {"created", created_},
                 {"model", request_.model},
                 {"choices", std::move(choices)},
                 {"usage",
                  {{"prompt_tokens", prompt_tokens_},
                   {"completion_tokens", output_tokens_},
                   {"total_tokens", prompt_tokens_ + output_tokens_},
                   {"prompt_tokens_details", {{"cached_tokens", cached_tokens_}}}}}});
}

}  // namespace molink::examples
