#pragma once

#include "base/random.h"
#include "wire/messages.h"

namespace molink::test {

/// Returns a valid message of alternative `kind` (index in Message) with random content. Every
/// field is set, lists are short, and about one optional field in four is absent.
Message random_message(std::size_t kind, Random& random);

inline constexpr std::size_t kMessageKinds = std::variant_size_v<Message>;

/// Returns whether every bound that decode_message promises holds.
bool within_bounds(const Message& message);

}  // namespace molink::test
