#pragma once

#include <set>
#include <span>
#include <string>

#include <molink/security.h>

#include "security/text_file.h"

namespace molink {

/// The content of a key file.
struct KeyFile {
    KeyPair pair;
    std::set<PublicKey> heads;  ///< that know the key
};

/// Errors: data_loss naming the line or the missing half, or when the halves do not belong
/// together.
Result<KeyFile> parse_key_file(std::span<const TextLine> lines);

/// Returns whether the key file says that the head with `head` knows this key. Errors: those of
/// read_key_file.
Result<bool> knows_head(const std::string& path, const PublicKey& head);

/// Notes in the key file that the head with `head` knows this key. Errors: unavailable.
Status remember_head(const std::string& path, const PublicKey& head);

}  // namespace molink
