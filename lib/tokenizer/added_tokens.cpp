// A trie over bytes. Patterns and text are UTF-8, so a match of bytes is a match of characters. The
// search continues after the token itself, not after the white space that it strips, so two tokens
// may strip the same white space. The reference library does the same.
#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "tokenizer/unicode.h"

namespace molink {
namespace {

// Returns the code point that ends at `end` > 0, and its beginning.
std::uint32_t code_point_before(std::string_view text, std::size_t end, std::size_t& begin) {
    begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    return utf8_step(text, begin).code_point;
}

bool word_ends_at(std::string_view text, std::size_t end) {
    std::size_t begin = 0;
    return end > 0 && is_word(code_point_before(text, end, begin));
}

bool word_begins_at(std::string_view text, std::size_t begin) {
    return begin < text.size() && is_word(utf8_step(text, begin).code_point);
}

std::size_t strip_left(std::string_view text, std::size_t end, std::size_t limit) {
    while (end > limit) {
        std::size_t begin = 0;
        if (!is_space(code_point_before(text, end, begin)) || begin < limit) break;
        end = begin;
    }
    return end;
}

std::size_t strip_right(std::string_view text, std::size_t begin) {
    while (begin < text.size()) {
        const Utf8Step step = utf8_step(text, begin);
        if (!is_space(step.code_point)) break;
        begin += step.length;
    }
    return begin;
}

}  // namespace

std::int64_t AddedTokenFinder::child(std::uint32_t node, unsigned char byte) const {
    const auto& children = nodes_[node].children;
    const auto it = std::lower_bound(children.begin(), children.end(), byte,
                                     [](const auto& c, unsigned char b) { return c.first < b; });
    return it != children.end() && it->first == byte ? std::int64_t{it->second} : -1;
}

void AddedTokenFinder::add(const AddedToken& token, std::string_view pattern) {
    if (pattern.empty()) return;
    std::uint32_t node = 0;
    for (const char c : pattern) {
        const auto byte = static_cast<unsigned char>(c);
        std::int64_t next = child(node, byte);
        if (next < 0) {
            next = static_cast<std::int64_t>(nodes_.size());
            nodes_.emplace_back();
            auto& children = nodes_[node].children;
            const auto it =
                std::lower_bound(children.begin(), children.end(), byte,
                                 [](const auto& e, unsigned char b) { return e.first < b; });
            children.insert(it, {byte, static_cast<std::uint32_t>(next)});
        }
        node = static_cast<std::uint32_t>(next);
    }
    if (nodes_[node].token >= 0) return;
    nodes_[node].token = static_cast<std::int32_t>(tokens_.size());
    tokens_.push_back({token.id, token.single_word, token.lstrip, token.rstrip});
}

AddedTokenFinder::Found AddedTokenFinder::longest_at(std::string_view text,
                                                     std::size_t begin) const {
    Found found;
    std::uint32_t node = 0;
    for (std::size_t i = begin; i < text.size(); ++i) {
        const std::int64_t next = child(node, static_cast<unsigned char>(text[i]));
        if (next < 0) break;
        node = static_cast<std::uint32_t>(next);
        if (nodes_[node].token >= 0) found = {nodes_[node].token, i + 1};
    }
    return found;
}

void AddedTokenFinder::split(std::string_view text, std::vector<Piece>& pieces) const {
    std::size_t done = 0;
    std::size_t at = 0;
    while (at < text.size() && !tokens_.empty()) {
        const Found found = longest_at(text, at);
        if (found.token < 0) {
            ++at;
            continue;
        }
        const Flags& flags = tokens_[found.token];
        const std::size_t match = at;
        at = found.end;
        if (flags.single_word && (word_ends_at(text, match) || word_begins_at(text, found.end))) {
            continue;
        }
        const std::size_t begin = flags.lstrip ? strip_left(text, match, done) : match;
        const std::size_t end = flags.rstrip ? strip_right(text, found.end) : found.end;
        if (begin > done) pieces.push_back({-1, text.substr(done, begin - done)});
        pieces.push_back({flags.id, text.substr(begin, end - begin)});
        done = end;
    }
    if (done < text.size()) pieces.push_back({-1, text.substr(done)});
}

}  // namespace molink
