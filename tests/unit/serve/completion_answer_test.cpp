// Answers made from events: text, log-probabilities and their offsets are the same whether they are
// streamed or whole, and tell only what is shown.
#include "serve/completion_answer.h"

#include <map>

#include "support/catch.h"

using namespace molink;
using namespace molink::examples;
using Json = nlohmann::json;

namespace {

/// An engine that only knows the bytes of its tokens.
class TokenEngine final : public Engine {
public:
    Status wait_ready(std::int64_t) override { return {}; }
    Result<RequestId> submit(GenerateRequest, RequestCallback) override { return RequestId(1); }
    void cancel(RequestId) override {}
    Result<std::vector<Token>> tokenize(std::string_view, bool) const override {
        return std::vector<Token>();
    }
    Result<std::string> detokenize(std::span<const Token> tokens) const override {
        if (bytes.empty()) return Status(StatusCode::failed_precondition, "no tokenizer");
        std::string text;
        for (Token token : tokens) text += bytes.at(token);
        return text;
    }
    std::string address() const override { return {}; }
    const ModelSpec& model() const override { return spec; }
    ClusterView cluster() const override { return {}; }
    PartitionReport partition() const override { return {}; }
    MetricsSnapshot metrics() const override { return {}; }
    Status close() override { return {}; }

    std::map<Token, std::string> bytes{{1, "caf"},   {2, "\xc3"}, {3, "\xa9"}, {4, " au"},
                                       {5, " lait"}, {6, "<s>"},  {7, "!"}};
    ModelSpec spec;
};

RequestEvent event_of(Token token, const std::string& text, std::int32_t offset) {
    RequestEvent event;
    event.tokens = {token};
    event.text = text;
    event.text_offsets = {offset};
    TokenLogprobs logprobs;
    logprobs.logprob = -1.5f;
    logprobs.top = {{7, -0.5f}};
    event.logprobs = {logprobs};
    return event;
}

RequestEvent end_of(FinishReason reason, const std::string& text = {}) {
    RequestEvent event;
    event.finish_reason = reason;
    event.text = text;
    event.last = true;
    return event;
}

/// Log-probabilities of an answer, all pieces joined.
struct Told {
    std::string text;
    Json tokens = Json::array();
    Json offsets = Json::array();
    Json tops = Json::array();
};

void join(const Json& choice, Told& told) {
    told.text += choice["text"].get<std::string>();
    if (choice["logprobs"].is_null()) return;
    for (const Json& item : choice["logprobs"]["tokens"]) told.tokens.push_back(item);
    for (const Json& item : choice["logprobs"]["text_offset"]) told.offsets.push_back(item);
    for (const Json& item : choice["logprobs"]["top_logprobs"]) told.tops.push_back(item);
}

Told answer_to(const Engine& engine, const std::vector<RequestEvent>& events, bool stream,
               const std::vector<std::string>& stops = {}) {
    CompletionRequest request;
    request.model = "m";
    request.stream = stream;
    request.prompts.emplace_back();
    request.prompts.front().logprobs = 1;
    request.prompts.front().stop = stops;
    CompletionAnswer answer(engine, request, "id");
    std::string output;
    for (const RequestEvent& event : events) {
        answer.add(0, event);
        output += answer.take_output();
    }
    REQUIRE(answer.finished());
    Told told;
    if (!stream) {
        join(Json::parse(output)["choices"][0], told);
        return told;
    }
    for (std::size_t at = 0; output.compare(at, 7, "data: {") == 0;) {
        const std::size_t end = output.find("\n\n", at);
        join(Json::parse(output.substr(at + 6, end - at - 6))["choices"][0], told);
        at = end + 2;
    }
    REQUIRE(output.ends_with("data: [DONE]\n\n"));
    return told;
}

}  // namespace

TEST_CASE("offsets count characters, with parts of characters and tokens without text") {
    const TokenEngine engine;
    const std::vector<RequestEvent> events{
        event_of(1, "caf", 0), event_of(2, "", 3),  event_of(3, "\xc3\xa9", 3),  event_of(6, "", 4),
        event_of(4, " au", 4), event_of(7, "!", 7), end_of(FinishReason::length)};
    for (bool stream : {false, true}) {
        const Told told = answer_to(engine, events, stream);
        INFO("stream " << stream);
        REQUIRE(told.text == "caf\xc3\xa9 au!");
        REQUIRE(told.tokens == Json({"caf", "bytes:\\xc3", "bytes:\\xa9", "<s>", " au", "!"}));
        REQUIRE(told.offsets == Json({0, 3, 3, 4, 4, 7}));
        for (std::size_t i = 0; i < told.tokens.size(); ++i) {
            REQUIRE(told.tops[i].contains(told.tokens[i].get<std::string>()));
        }
        REQUIRE(told.tops[5]["!"] == -1.5f);  // what was sampled, not the entry of the same text
    }
}

TEST_CASE("tokens that a stop string cuts away are not told") {
    const TokenEngine engine;
    // The stop string is "au lait": " au" is held back, all but its space is cut away.
    const std::vector<RequestEvent> cut{event_of(1, "caf", 0), event_of(4, " ", 3),
                                        event_of(5, "", 6), end_of(FinishReason::stop)};
    // Here the text that was held back comes with the end.
    const std::vector<RequestEvent> kept{event_of(1, "caf", 0), event_of(4, " ", 3),
                                         event_of(5, "", 6),
                                         end_of(FinishReason::length, "au lait")};
    for (bool stream : {false, true}) {
        INFO("stream " << stream);
        const Told told = answer_to(engine, cut, stream, {"au lait"});
        REQUIRE(told.text == "caf ");
        REQUIRE(told.tokens == Json({"caf", " au"}));
        const Told all = answer_to(engine, kept, stream, {"au laits"});
        REQUIRE(all.text == "caf au lait");
        REQUIRE(all.tokens == Json({"caf", " au", " lait"}));
        REQUIRE(all.offsets == Json({0, 3, 6}));
    }
}

TEST_CASE("without a tokenizer the text has the ids, and offsets follow it") {
    TokenEngine engine;
    engine.bytes.clear();
    std::vector<RequestEvent> events{event_of(12, "", 0), event_of(3, "", 0), event_of(456, "", 0),
                                     end_of(FinishReason::length)};
    for (RequestEvent& event : events) event.text_offsets.clear();
    for (bool stream : {false, true}) {
        const Told told = answer_to(engine, events, stream);
        REQUIRE(told.text == " 12 3 456");
        REQUIRE(told.tokens == Json({" 12", " 3", " 456"}));
        REQUIRE(told.offsets == Json({0, 3, 5}));
    }
}

TEST_CASE("an error ends the answer and has a status") {
    const TokenEngine engine;
    CompletionRequest request;
    request.prompts.emplace_back();
    CompletionAnswer answer(engine, request, "id");
    RequestEvent failed = end_of(FinishReason::error);
    failed.status = Status(StatusCode::invalid_argument, "never fits");
    answer.add(0, failed);
    REQUIRE(answer.finished());
    REQUIRE(answer.error()->status == 400);
    REQUIRE(answer.take_output().empty());
    REQUIRE(to_api_error(Status(StatusCode::resource_exhausted, "full")).status == 429);
    REQUIRE(to_api_error(Status(StatusCode::cancelled, "closed")).status == 503);
    REQUIRE(to_api_error(Status(StatusCode::data_loss, "lost")).status == 500);
}
