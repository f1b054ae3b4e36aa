#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <molink/scheduler.h>
#include <molink/status.h>

namespace molink::examples {

/// Whether `scheduler` names a file: a path, or something that ends in .so.
bool is_scheduler_file(const std::string& scheduler);

using SchedulerFactory = std::function<std::unique_ptr<Scheduler>()>;
using SchedulerFiles = std::map<std::string, SchedulerFactory>;  ///< by path

/// Makes schedulers of a plug-in in a shared object, which stays loaded; molink_plugin.h says what
/// it exports. Errors: unavailable (it cannot be loaded, or has no molink_scheduler_open),
/// invalid_argument (it makes no scheduler, or one that this program does not understand).
Result<SchedulerFactory> load_scheduler_file(const std::string& path);

/// Those of `schedulers` that name files, loaded. Errors: as load_scheduler_file().
Result<SchedulerFiles> load_scheduler_files(const std::vector<std::string>& schedulers);

}  // namespace molink::examples
