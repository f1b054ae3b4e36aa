// Log-probabilities in the form of the API. Offsets come from the engine, which decodes the tokens:
// a token may hold a part of a character, and a special token has no text, so that lengths of
// tokens say nothing.
#include "serve/token_logprobs.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace molink::examples {
namespace {

using Json = nlohmann::json;

/// The API's value for a probability of zero.
constexpr float kLeastLogprob = -9999.0f;

bool is_utf8(const std::string& text) {
    try {
        (void)Json(text).dump();
        return true;
    } catch (const Json::exception&) {
        return false;
    }
}

/// Returns the text of a token; for a part of a character its bytes, as OpenAI's service does.
std::string token_text(const Engine& engine, Token token) {
    const Token one[] = {token};
    const auto bytes = engine.detokenize(one);
    if (!bytes) return fmt::format(" {}", token);
    if (is_utf8(*bytes)) return *bytes;
    std::string text = "bytes:";
    for (unsigned char byte : *bytes) text += fmt::format("\\x{:02x}", byte);
    return text;
}

}  // namespace

std::int64_t count_characters(std::string_view text) {
    return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

void TokenLogprobList::add(const RequestEvent& event, const std::vector<std::int32_t>& offsets) {
    const std::size_t count =
        std::min({event.tokens.size(), event.logprobs.size(), offsets.size()});
    for (std::size_t i = 0; i < count; ++i) {
        waiting_.push_back({event.tokens[i], event.logprobs[i], offsets[i]});
    }
}

std::size_t TokenLogprobList::shown(std::int64_t characters) const {
    const auto last = std::find_if(waiting_.begin(), waiting_.end(),
                                   [&](const Entry& entry) { return entry.offset >= characters; });
    return static_cast<std::size_t>(last - waiting_.begin());
}

Json TokenLogprobList::take(const Engine& engine, std::size_t count) {
    Json tokens = Json::array();
    Json logprobs = Json::array();
    Json tops = Json::array();
    Json offsets = Json::array();
    for (std::size_t i = 0; i < count; ++i) {
        const Entry entry = std::move(waiting_.front());
        waiting_.pop_front();
        const std::string text = token_text(engine, entry.token);
        const float logprob = std::max(entry.logprobs.logprob, kLeastLogprob);
        Json top = Json::object();
        for (const TokenLogprob& item : entry.logprobs.top) {
            top[token_text(engine, item.token)] = std::max(item.logprob, kLeastLogprob);
        }
        top[text] = logprob;  // the sampled token, also when it is none of the likeliest
        tokens.push_back(text);
        logprobs.push_back(logprob);
        tops.push_back(std::move(top));
        offsets.push_back(entry.offset);
    }
    return {{"tokens", std::move(tokens)},
            {"token_logprobs", std::move(logprobs)},
            {"top_logprobs", std::move(tops)},
            {"text_offset", std::move(offsets)}};
}

}  // namespace molink::examples
