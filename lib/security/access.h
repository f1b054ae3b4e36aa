#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include <molink/security.h>

#include "security/text_file.h"

namespace molink {

/// What the holder of a key may do at a head.
enum class Access : std::uint8_t {
    none,   ///< nothing: the handshake ends
    token,  ///< introduce another key, and nothing else
    member  ///< join
};

/// Decides who may connect to a head. Thread: the node's loop.
class AccessControl {
public:
    virtual ~AccessControl() = default;
    virtual Access access(const PublicKey& key) const = 0;
    /// The holder of the token `pass` introduces `key`, which may join from now on. A token for one
    /// use is then used up. Errors: failed_precondition when the token is unknown, used or expired;
    /// unavailable when the decision cannot be stored.
    virtual Status enrol(const PublicKey& pass, const PublicKey& key, std::string_view name) = 0;
    /// Brings the answers up to date. Returns whether they may have changed. Errors: those of
    /// reading the source of the answers; the former answers stay.
    virtual Result<bool> refresh() = 0;
};

/// The content of an access file. Times are seconds since 1970.
class AccessList {
public:
    struct Token {
        std::int64_t until_s = 0;
        bool reusable = false;
    };

    /// Errors: data_loss naming the line and what is wrong with it.
    static Result<AccessList> parse(std::span<const TextLine> lines);

    Access access(const PublicKey& key, std::int64_t now_s) const;
    const Token* find_token(const PublicKey& pass, std::int64_t now_s) const;

    /// Returns whether a line is about `key`, also an expired token's.
    bool knows(const PublicKey& key) const { return keys_.contains(key) || tokens_.contains(key); }

private:
    Status add_line(const TextLine& line);

    std::set<PublicKey> keys_;
    std::map<PublicKey, Token> tokens_;
};

// Lines of an access file.
std::string permit_line(const PublicKey& key, std::string_view name);
std::string token_line(const PublicKey& pass, AccessList::Token token);

}  // namespace molink
