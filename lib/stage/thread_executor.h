#pragma once

#include <functional>
#include <memory>

#include <molink/clock.h>

#include "stage/stage_executor.h"
#include "stage/stage_work.h"

namespace molink {

/// A stage of this process: one compute thread that does `work`. `clock` must outlive it.
std::unique_ptr<StageExecutor> make_thread_executor(std::unique_ptr<StageWork> work,
                                                    const Clock& clock,
                                                    std::function<void()> notify);

}  // namespace molink
