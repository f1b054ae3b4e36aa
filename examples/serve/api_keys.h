#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>

namespace molink::examples {

/// The keys that clients may present. Immutable; thread-safe.
class ApiKeys {
public:
    /// Each entry is a file with one key per line (empty lines and lines with # do not count), or a
    /// key. Errors: invalid_argument naming the file or what is wrong with a key. Messages never
    /// contain a key.
    static Result<ApiKeys> load(const std::vector<std::string>& entries);

    /// Without keys every client is welcome.
    bool empty() const { return digests_.empty(); }
    /// Returns whether it is one of the keys. Takes the same time for every wrong key.
    bool accepts(std::string_view key) const;

private:
    using Digest = std::array<unsigned char, 32>;
    static Digest digest_of(std::string_view key);
    Status add(std::string_view key, const std::string& origin);

    std::vector<Digest> digests_;
};

}  // namespace molink::examples
