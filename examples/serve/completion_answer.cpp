// Events of the engine become answers of the API. A streamed and a whole answer tell the same text,
// the same tokens and the same offsets; only where they are cut differs.
#include "serve/completion_answer.h"

#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace molink::examples {
namespace {

using Json = nlohmann::json;

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

CompletionAnswer::CompletionAnswer(const Engine& engine, const CompletionRequest& request,
                                   std::string id)
    : engine_(engine),
      request_(request),
      id_(std::move(id)),
      created_(static_cast<std::int64_t>(std::time(nullptr))),
      ids_as_text_(!engine.detokenize({}).has_value()),
      open_requests_(request.prompts.size()) {
    for (const GenerateRequest& prompt : request.prompts) {
        choices_.resize(choices_.size() + static_cast<std::size_t>(prompt.n));
    }
}

void CompletionAnswer::add(std::size_t prompt, RequestEvent event) {
    if (finished_) return;
    if (event.finish_reason == FinishReason::error ||
        event.finish_reason == FinishReason::cancelled) {
        error_ = to_api_error(event.status);
        finished_ = true;
        return;
    }
    const auto n = static_cast<std::size_t>(request_.prompts[prompt].n);
    const std::size_t index = prompt * n + static_cast<std::size_t>(event.index);
    if (event.finish_reason != FinishReason::none) {
        choices_[index].finish_reason = std::string(finish_reason_name(event.finish_reason));
        if (event.index == 0) {
            prompt_tokens_ += event.prompt_token_count;
            cached_tokens_ += event.cached_token_count;
        }
        output_tokens_ += event.output_token_count;
    }
    add_to_choice(index, event);
    if (request_.stream) add_piece(index, event);
    if (event.last && --open_requests_ == 0) finish();
}

void CompletionAnswer::add_to_choice(std::size_t index, RequestEvent& event) {
    Choice& choice = choices_[index];
    std::vector<std::int32_t> offsets = event.text_offsets;
    for (Token token : event.tokens) {
        if (!ids_as_text_) break;
        offsets.push_back(
            static_cast<std::int32_t>(choice.characters + count_characters(event.text)));
        event.text += fmt::format(" {}", token);
    }
    choice.logprobs.add(event, offsets);
    choice.characters += count_characters(event.text);
    if (!request_.stream) choice.text += event.text;
}

/// Returns the log-probabilities that can be told now, or null if there are none.
Json CompletionAnswer::take_logprobs(Choice& choice, const GenerateRequest& request) {
    if (request.logprobs < 0) return nullptr;
    const bool may_be_cut = choice.finish_reason == "stop" && !request.stop.empty();
    const bool tells_all = !choice.finish_reason.empty() && !may_be_cut;
    const std::size_t count =
        tells_all ? choice.logprobs.size() : choice.logprobs.shown(choice.characters);
    if (count == 0 && request_.stream) return nullptr;
    return choice.logprobs.take(engine_, count);
}

Json CompletionAnswer::usage() const {
    return {{"prompt_tokens", prompt_tokens_},
            {"completion_tokens", output_tokens_},
            {"total_tokens", prompt_tokens_ + output_tokens_},
            {"prompt_tokens_details", {{"cached_tokens", cached_tokens_}}}};
}

Json CompletionAnswer::frame(Json choices) const {
    return {{"id", id_},
            {"object", "text_completion"},
            {"created", created_},
            {"model", request_.model},
            {"choices", std::move(choices)}};
}

void CompletionAnswer::add_piece(std::size_t index, const RequestEvent& event) {
    Choice& choice = choices_[index];
    Json logprobs = take_logprobs(choice, request_.prompts.front());
    const bool ends = event.finish_reason != FinishReason::none;
    if (!ends && event.text.empty() && logprobs.is_null()) return;
    Json entry{{"text", event.text}, {"index", index}, {"logprobs", std::move(logprobs)}};
    entry["finish_reason"] = ends ? Json(choice.finish_reason) : Json();
    Json chunk = frame(Json::array({std::move(entry)}));
    if (request_.include_usage) chunk["usage"] = nullptr;
    output_ += "data: " + dump(chunk) + "\n\n";
}

void CompletionAnswer::finish() {
    finished_ = true;
    if (request_.stream) {
        if (request_.include_usage) {
            Json chunk = frame(Json::array());
            chunk["usage"] = usage();
            output_ += "data: " + dump(chunk) + "\n\n";
        }
        output_ += "data: [DONE]\n\n";
        return;
    }
    Json choices = Json::array();
    for (std::size_t i = 0; i < choices_.size(); ++i) {
        Choice& choice = choices_[i];
        Json entry{{"text", choice.text},
                   {"index", i},
                   {"logprobs", take_logprobs(choice, request_.prompts.front())},
                   {"finish_reason", choice.finish_reason}};
        choices.push_back(std::move(entry));
    }
    Json body = frame(std::move(choices));
    body["usage"] = usage();
    output_ = dump(body);
}

}  // namespace molink::examples
