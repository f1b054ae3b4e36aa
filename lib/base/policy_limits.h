#pragma once

#include <cstdint>

// Bounds of policies, which are code of the host, with their reasons.
namespace molink::limits {

/// A call of a scheduler that takes longer is told. Plans take microseconds, and while one is made
/// the head does nothing else: after node_lost_after_us its workers would give it up.
inline constexpr std::int64_t kSlowPlanUs = 1'000'000;
/// Least time between two such log lines about different calls.
inline constexpr std::int64_t kSlowPlanLogUs = 5'000'000;

}  // namespace molink::limits
