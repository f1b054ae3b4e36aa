#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <molink/export.h>
#include <molink/status.h>

namespace molink {

/// A node's public key (Curve25519). It is the identity of the node.
struct PublicKey {
    std::array<std::uint8_t, 32> bytes{};
    friend auto operator<=>(const PublicKey&, const PublicKey&) = default;
};

/// The secret half of a key pair. The destructor overwrites it.
struct MOLINK_EXPORT SecretKey {
    std::array<std::uint8_t, 32> bytes{};
    SecretKey() = default;
    SecretKey(const SecretKey&) = default;
    SecretKey& operator=(const SecretKey&) = default;
    ~SecretKey();
};

struct KeyPair {
    PublicKey public_key;
    SecretKey secret_key;
};

/// Makes a key pair from the system's random numbers. Thread: any.
MOLINK_EXPORT KeyPair make_key_pair();

/// A public key as text: 64 hexadecimal characters.
MOLINK_EXPORT std::string key_text(const PublicKey& key);
/// Errors: invalid_argument naming the length or the position of the first bad character.
MOLINK_EXPORT Result<PublicKey> parse_public_key(std::string_view text);

/// Writes a key pair to a new file that only its owner may read (mode 0600). Errors:
/// failed_precondition when the file exists, unavailable when it cannot be written.
MOLINK_EXPORT Status write_key_file(const std::string& path, const KeyPair& pair);
/// Errors: not_found, data_loss (not a key file, or the two halves do not belong together),
/// failed_precondition when others than the owner may read the file.
MOLINK_EXPORT Result<KeyPair> read_key_file(const std::string& path);

/// Lets one machine join: where the head is, the key that the head proves to hold, and a key pair
/// with which the new machine may introduce its own key.
struct JoinToken {
    std::string address;
    PublicKey head_key;
    KeyPair pass;
};

/// A token as one word. Whoever has it may join, so it is a secret.
MOLINK_EXPORT std::string token_text(const JoinToken& token);
/// Errors: invalid_argument when it is not a token, or was copied incompletely.
MOLINK_EXPORT Result<JoinToken> parse_token(std::string_view text);

// The access file of a head: the keys that may join, one a line, and tokens. The calls below may be
// made while a head uses the file. They make the file if it does not exist, and fail with
// data_loss when it is not an access file, failed_precondition when others than the owner may write
// it, and unavailable when it cannot be written.

/// Permits a key. `name` is for people: one word. Errors also: failed_precondition when the key is
/// there already.
MOLINK_EXPORT Status allow_key(const std::string& access_file, const PublicKey& key,
                               std::string_view name);
/// Removes a key or the pass of a token; a node with the key loses its link within a second. Errors
/// also: not_found.
MOLINK_EXPORT Status revoke_key(const std::string& access_file, const PublicKey& key);
/// Makes a token and permits its pass for `valid_s` seconds from now, for one use or, when
/// `reusable`, for many. Errors also: invalid_argument when valid_s is not 1 s to 10 years, or
/// `address` is none that can be dialled, or longer than 4096 bytes.
MOLINK_EXPORT Result<JoinToken> add_join_token(const std::string& access_file,
                                               const PublicKey& head_key,
                                               const std::string& address, std::int64_t valid_s,
                                               bool reusable);

/// Who is at the other end of a connection.
struct PeerIdentity {
    /// The key that the peer proved to hold; none on a connection without keys.
    std::optional<PublicKey> key;
    friend bool operator==(const PeerIdentity&, const PeerIdentity&) = default;
};

/// Keys of a node. With a key pair every link is encrypted, and both ends prove their keys.
struct SecurityOptions {
    /// File of the node's key pair, as `molink-key new` writes it. Empty: no keys; only loopback,
    /// ipc and inproc addresses are permitted unless NodeOptions::insecure is set.
    std::string key_file;
    /// Head: file of the keys that may join, one a line, and of tokens. It is read again when it
    /// changes, and a key that is no longer in it loses its link within a second. Required with
    /// key_file.
    std::string allow_file;
    /// Worker: the head's public key as text. Required with key_file unless `token` is set.
    std::string head_key;
    /// Worker: a join token. It gives the address and the key of the head, and introduces the key
    /// of key_file, which is made if it does not exist.
    std::string token;
};

}  // namespace molink
