#pragma once

#include <functional>
#include <memory>

#include <molink/clock.h>

#include "stage/stage_executor.h"
#include "stage/stage_work.h"

namespace molink {

/// Makes a stage with one compute thread in this process, which runs `work`. `clock` must outlive
/// it. `notify`: see StageExecutor.
std::unique_ptr<StageExecutor> make_thread_executor(std::unique_ptr<StageWork> work,
                                                    const Clock& clock,
                                                    std::function<void()> notify);

}  // namespace molink
