// Implements molink_keys.h: keys, tokens and access files.
// There is no handle and no thread: every call does its work on files and returns.
// A token that the caller could not receive is taken back, because nobody else can.
#include <molink_keys.h>

#include <cstring>

#include <molink/security.h>

#include "guard.h"

using namespace molink::capi;
using molink::PublicKey;
using molink::Status;
using molink::StatusCode;

static_assert(MOLINK_KEY_SIZE == 2 * sizeof(PublicKey) + 1);

namespace {

void write_key(const PublicKey& key, char* out) {
    std::memcpy(out, molink::key_text(key).c_str(), MOLINK_KEY_SIZE);
}

}  // namespace

extern "C" {

molink_error* molink_key_create(const char* path, char* out_key) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_key_create", path);
        MOLINK_CAPI_NOT_NULL("molink_key_create", out_key);
        const molink::KeyPair pair = molink::make_key_pair();
        const Status written = molink::write_key_file(path, pair);
        if (written.ok()) write_key(pair.public_key, out_key);
        return written;
    });
}

molink_error* molink_key_read(const char* path, char* out_key) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_key_read", path);
        MOLINK_CAPI_NOT_NULL("molink_key_read", out_key);
        const auto pair = molink::read_key_file(path);
        if (!pair) return pair.error();
        write_key(pair->public_key, out_key);
        return {};
    });
}

molink_error* molink_access_allow(const char* access_file, const char* key, const char* name) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_access_allow", access_file);
        MOLINK_CAPI_NOT_NULL("molink_access_allow", key);
        const auto parsed = molink::parse_public_key(key);
        if (!parsed) return parsed.error();
        return molink::allow_key(access_file, *parsed, name == nullptr ? "" : name);
    });
}

molink_error* molink_access_revoke(const char* access_file, const char* key) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_access_revoke", access_file);
        MOLINK_CAPI_NOT_NULL("molink_access_revoke", key);
        const auto parsed = molink::parse_public_key(key);
        if (!parsed) return parsed.error();
        return molink::revoke_key(access_file, *parsed);
    });
}

molink_error* molink_access_token(const char* access_file, const char* key_file,
                                  const char* address, int64_t valid_s, int32_t reusable,
                                  char* token, size_t capacity, size_t* out_size) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_access_token", access_file);
        MOLINK_CAPI_NOT_NULL("molink_access_token", key_file);
        MOLINK_CAPI_NOT_NULL("molink_access_token", address);
        MOLINK_CAPI_NOT_NULL("molink_access_token", out_size);
        const auto pair = molink::read_key_file(key_file);
        if (!pair) return pair.error();
        const auto made =
            molink::add_join_token(access_file, pair->public_key, address, valid_s, reusable != 0);
        if (!made) return made.error();
        const std::string text = molink::token_text(*made);
        if (token == nullptr || capacity <= text.size()) {
            const Status removed = molink::revoke_key(access_file, made->pass.public_key);
            if (!removed.ok()) return removed;
            return Status(StatusCode::resource_exhausted, "molink_access_token: the token needs " +
                                                              std::to_string(text.size() + 1) +
                                                              " bytes; capacity is " +
                                                              std::to_string(capacity));
        }
        std::memcpy(token, text.c_str(), text.size() + 1);
        *out_size = text.size();
        return {};
    });
}

}  // extern "C"
