#pragma once

#include <cstdint>

namespace molink {

/// Equal major versions can talk; minor versions only append optional fields.
inline constexpr std::uint16_t kProtocolMajor = 1;
inline constexpr std::uint16_t kProtocolMinor = 2;
/// A worker of an older minor version would not wait for the tokens that the last stage tells it,
/// nor send rows back to an LM head on the first stage, nor measure links.
inline constexpr std::uint16_t kLeastWorkerMinor = 2;

/// Name of this release in handshakes and logs.
inline constexpr const char* kReleaseName = "molink 0.1.0";

}  // namespace molink
