// The version of the library as programs show it. The release says which code runs; the protocol
// says which nodes can work together, which the release does not: releases may share a protocol.
// Relies on the numbers that every hello carries.
#include "wire/protocol.h"

#include <fmt/format.h>

#include <molink/version.h>

namespace molink {

const char* version_text() {
    static const std::string text =
        fmt::format("{}, protocol {}.{}", kReleaseName, kProtocolMajor, kProtocolMinor);
    return text.c_str();
}

}  // namespace molink
