#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <molink/scheduler.h>

namespace molink::test {

using SchedulerFactory = std::function<std::unique_ptr<Scheduler>()>;

/// Puts any scheduler through seeded random loads on an engine core with fold stages: every plan is
/// valid, every request ends with the right tokens, nothing starves, equal runs give equal plans.
void check_scheduler_contract(const SchedulerFactory& make, std::uint64_t seed);

}  // namespace molink::test
