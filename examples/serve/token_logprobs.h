#pragma once

#include <cstdint>
#include <deque>

#include <nlohmann/json.hpp>

#include <molink/engine.h>
#include <molink/request.h>

namespace molink::examples {

/// The log-probabilities of one choice, in the order of its tokens. A token is told when its text
/// is shown: what a stop string cuts away is never told, streamed or not. Not thread-safe.
class TokenLogprobList {
public:
    /// Adds tokens with their log-probabilities and the offsets of their text, in characters.
    void add(const RequestEvent& event, const std::vector<std::int32_t>& offsets);
    /// Returns how many of the tokens that were not told yet begin within `characters` of text.
    std::size_t shown(std::int64_t characters) const;
    std::size_t size() const { return waiting_.size(); }
    /// Returns the next `count` tokens in the form of the API, and forgets them.
    nlohmann::json take(const Engine& engine, std::size_t count);

private:
    struct Entry {
        Token token = 0;
        TokenLogprobs logprobs;
        std::int32_t offset = 0;
    };
    std::deque<Entry> waiting_;
};

/// Counts the characters of UTF-8 text.
std::int64_t count_characters(std::string_view text);

}  // namespace molink::examples
