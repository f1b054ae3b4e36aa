// Keys of clients. Only digests are kept, and a candidate's digest is compared with all of them in
// constant time, so that the time of an answer tells nothing about a key, its length included.
#include "serve/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace molink::examples {
namespace {

/// A key that can be guessed protects nothing; and the name of a file that does not exist is
/// usually shorter.
constexpr std::size_t kShortestKey = 16;
constexpr std::size_t kLongestKey = 1024;
constexpr std::size_t kMostKeys = 10'000;

std::string_view trimmed(std::string_view line) {
    constexpr std::string_view kBlank = " \t\r\n";
    const std::size_t first = line.find_first_not_of(kBlank);
    if (first == std::string_view::npos) return {};
    return line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

Status bad(const std::string& text) {
    return Status(StatusCode::invalid_argument, "--api-key: " + text);
}

}  // namespace

ApiKeys::Digest ApiKeys::digest_of(std::string_view key) {
    Digest digest{};
    unsigned int size = 0;
    ::EVP_Digest(key.data(), key.size(), digest.data(), &size, ::EVP_sha256(), nullptr);
    return digest;
}

Status ApiKeys::add(std::string_view key, const std::string& origin) {
    const bool plain =
        std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < '\x7f'; });
    if (!plain) return bad(origin + " has a character that is not printable ASCII");
    if (key.size() < kShortestKey || key.size() > kLongestKey) {
        return bad(fmt::format("{} has {} characters; {} to {} are permitted", origin, key.size(),
                               kShortestKey, kLongestKey));
    }
    if (digests_.size() == kMostKeys) return bad(fmt::format("more than {} keys", kMostKeys));
    digests_.push_back(digest_of(key));
    return {};
}

Result<ApiKeys> ApiKeys::load(const std::vector<std::string>& entries) {
    ApiKeys keys;
    for (const std::string& entry : entries) {
        std::error_code error;
        if (!std::filesystem::exists(entry, error)) {
            if (entry.find('/') != std::string::npos) return bad("there is no file " + entry);
            const Status added =
                keys.add(entry, "the key on the command line, which is not the name of a file,");
            if (!added.ok()) return added;
            continue;
        }
        std::ifstream file(entry);
        std::string line;
        std::size_t number = 0;
        const std::size_t before = keys.digests_.size();
        while (std::getline(file, line)) {
            ++number;
            const std::string_view key = trimmed(line);
            if (key.empty() || key.front() == '#') continue;
            const Status added = keys.add(key, fmt::format("{}, line {}", entry, number));
            if (!added.ok()) return added;
        }
        if (file.bad() || keys.digests_.size() == before) {
            return bad(fmt::format("{} cannot be read or has no key", entry));
        }
    }
    return keys;
}

bool ApiKeys::accepts(std::string_view key) const {
    const Digest digest = digest_of(key);
    int found = 0;
    for (const Digest& known : digests_) {
        found |= ::CRYPTO_memcmp(known.data(), digest.data(), digest.size()) == 0 ? 1 : 0;
    }
    return found != 0;
}

}  // namespace molink::examples
