#pragma once

#include <cstdint>

#include <molink/version.h>

namespace molink {

/// Nodes with equal major versions are compatible. Minor versions only append optional fields.
/// Version 2: a part has a type for each step of its way, decode rows may have drafts, and every
/// message of a pipeline names pipeline and epoch. Version 3: a process may have several devices,
/// and messages about a stage name it. Version 3.1: keys of nodes in rings and probes, and their
/// introduction by a join token; faults of rows; the row formats of kMinorOfRowFaults; the end
/// of an epoch; what stages do, in heartbeats.
inline constexpr std::uint16_t kProtocolMajor = 3;
inline constexpr std::uint16_t kProtocolMinor = 1;

/// Minor version from which on a node reads int8 rows with exact values, f16 rows that are bf16,
/// and faults of rows. Older ones get the older formats, and a fault ends their epoch.
inline constexpr std::uint16_t kMinorOfRowFaults = 1;

/// Minor version from which on a worker knows the message EndEpoch.
inline constexpr std::uint16_t kMinorOfEndEpoch = 1;

/// Name of this release in handshakes and logs.
inline constexpr const char* kReleaseName = "molink " MOLINK_VERSION;

}  // namespace molink
