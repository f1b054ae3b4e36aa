#pragma once

#include <cstdint>
#include <string>

#include <molink/clock.h>
#include <molink/status.h>

#include "backend/backend.h"
#include "loader/checkpoint.h"
#include "model/model.h"
#include "wire/messages.h"

namespace molink {

/// Measures this machine with the model's own first layer: one decode row, 16 of them and a
/// slice of 64, each the median of several; the LM head is derived from the bytes it touches. Takes
/// about a second at most.
Result<NodeProfile> probe_node(Backend& backend, const Checkpoint& checkpoint,
                               const Described& described, WeightStorage storage,
                               const Clock& clock);

/// Memory that this process may still use, bytes: what the system calls available, within the
/// control group's limit.
std::int64_t available_memory_bytes();

/// Equal for processes on one machine, different between machines.
std::string host_id();

}  // namespace molink
