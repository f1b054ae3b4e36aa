#pragma once

#include <cstdint>

namespace molink {

/// Equal major versions can talk; minor versions only append optional fields.
inline constexpr std::uint16_t kProtocolMajor = 1;
inline constexpr std::uint16_t kProtocolMinor = 1;
/// A worker of an older minor version would ignore sampling options: wrong tokens without a sign.
inline constexpr std::uint16_t kLeastWorkerMinor = 1;

/// Name of this release in handshakes and logs.
inline constexpr const char* kReleaseName = "molink 0.1.0";

}  // namespace molink
