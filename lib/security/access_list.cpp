// The content of an access file: a line for each key that may join, and one for each token. Names
// in it are for people: they decide nothing and are not kept. A token opens one thing, the
// introduction of another key, and only until its time is over.
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/limits.h"
#include "security/access.h"
#include "security/keys.h"

namespace molink {
namespace {

constexpr std::string_view kKey = "key";
constexpr std::string_view kToken = "token";
constexpr std::string_view kUntil = "until";
constexpr std::string_view kReusable = "reusable";

Status malformed(const TextLine& line, std::string_view problem) {
    return make_error(StatusCode::data_loss, "line {}: {}", line.number, problem);
}

/// A name as one word of printable characters.
std::string as_word(std::string_view name) {
    std::string word(name.substr(0, limits::kMaxNodeNameBytes));
    for (char& c : word) {
        if (c <= ' ' || c > '~' || c == '#') c = '_';
    }
    return word;
}

}  // namespace

std::string permit_line(const PublicKey& key, std::string_view name) {
    return fmt::format("{} {}{}{}", kKey, key_text(key), name.empty() ? "" : " ", as_word(name));
}

std::string token_line(const PublicKey& pass, AccessList::Token token) {
    return fmt::format("{} {} {} {}{}{}", kToken, key_text(pass), kUntil, token.until_s,
                       token.reusable ? " " : "", token.reusable ? kReusable : "");
}

Result<AccessList> AccessList::parse(std::span<const TextLine> lines) {
    AccessList list;
    for (const TextLine& line : lines) MOLINK_RETURN_IF_ERROR(list.add_line(line));
    return list;
}

Status AccessList::add_line(const TextLine& line) {
    const std::vector<std::string>& words = line.words;
    const bool token = words[0] == kToken;
    if (!token && words[0] != kKey) {
        return malformed(line,
                         fmt::format("'{}' is neither '{}' nor '{}'", words[0], kKey, kToken));
    }
    if (words.size() < 2) return malformed(line, fmt::format("'{}' without a key", words[0]));
    const auto key = parse_public_key(words[1]);
    if (!key) return malformed(line, key.error().message());
    if (keys_.contains(*key) || tokens_.contains(*key)) {
        return malformed(line, fmt::format("the key {} is there twice", words[1]));
    }
    if (!token) {
        if (words.size() > 3) return malformed(line, "a name is one word");
        keys_.insert(*key);
        return {};
    }
    Token made;
    const bool reusable = words.size() == 5 && words[4] == kReusable;
    if (words.size() != (reusable ? 5u : 4u) || words[2] != kUntil) {
        return malformed(line, fmt::format("a token's line is '{} KEY {} SECONDS [{}]'", kToken,
                                           kUntil, kReusable));
    }
    made.reusable = reusable;
    const char* end = words[3].data() + words[3].size();
    const auto [at, error] = std::from_chars(words[3].data(), end, made.until_s);
    if (error != std::errc() || at != end) {
        return malformed(line, fmt::format("'{}' is not a number of seconds", words[3]));
    }
    tokens_[*key] = made;
    return {};
}

const AccessList::Token* AccessList::find_token(const PublicKey& pass, std::int64_t now_s) const {
    const auto found = tokens_.find(pass);
    return found == tokens_.end() || now_s >= found->second.until_s ? nullptr : &found->second;
}

Access AccessList::access(const PublicKey& key, std::int64_t now_s) const {
    if (keys_.contains(key)) return Access::member;
    return find_token(key, now_s) != nullptr ? Access::token : Access::none;
}

}  // namespace molink
