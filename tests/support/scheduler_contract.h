#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <molink/scheduler.h>

namespace molink::test {

using SchedulerFactory = std::function<std::unique_ptr<Scheduler>()>;

/// Runs a scheduler under a random load from `seed` on an engine core with fold stages. Requires
/// that every plan is valid, that every request ends with the right tokens, and that equal runs
/// give equal plans.
void check_scheduler_contract(const SchedulerFactory& make, std::uint64_t seed);

}  // namespace molink::test
