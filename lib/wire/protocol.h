#pragma once

#include <cstdint>

namespace molink {

/// Nodes of equal major versions can talk; minor versions only append optional fields.
/// Version 2: parts have types of their own for each step of their way, decode rows may carry
/// drafts, and everything of a pipeline names pipeline and epoch.
inline constexpr std::uint16_t kProtocolMajor = 2;
inline constexpr std::uint16_t kProtocolMinor = 0;

/// Name of this release in handshakes and logs.
inline constexpr const char* kReleaseName = "molink 0.1.0";

}  // namespace molink
