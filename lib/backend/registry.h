#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace molink {

/// How to open devices of one kind.
struct BackendEntry {
    std::string name;
    /// Returns the names of the devices. The first is the default.
    std::function<std::vector<std::string>()> devices;
    /// Opens `options.device`, which is one of devices().
    std::function<Result<std::unique_ptr<Backend>>(const BackendOptions& options)> make;
};

/// Adds a backend to those that are compiled in, for the rest of the process. Thread: any.
/// Errors: failed_precondition when the name is taken.
Status register_backend(BackendEntry entry);

}  // namespace molink
