// The backends of this process. Each backend that is compiled in has a folder and an entry here.
// Others are registered by tests, or by a plug-in when it is loaded. The op conformance test runs
// on all of them unchanged.
#include "backend/registry.h"

#include <algorithm>
#include <mutex>

#include <fmt/format.h>

#include "backend/cpu/cpu_backend.h"
#include "base/error.h"
#include "base/foreign.h"
#include "base/split.h"

namespace molink {
namespace {

/// Entries are never removed.
class Registry {
public:
    static Registry& instance() {
        static Registry registry;
        return registry;
    }

    std::vector<std::string> names() {
        const std::lock_guard lock(mutex_);
        std::vector<std::string> names;
        for (const BackendEntry& entry : entries_) names.push_back(entry.name);
        return names;
    }

    Result<BackendEntry> find(std::string_view name) {
        {
            const std::lock_guard lock(mutex_);
            for (const BackendEntry& entry : entries_) {
                if (entry.name == name) return entry;
            }
        }
        return make_error(StatusCode::not_found, "no backend '{}'; known: {}", name,
                          fmt::join(names(), ", "));
    }

    Status add(BackendEntry entry) {
        const std::lock_guard lock(mutex_);
        for (const BackendEntry& known : entries_) {
            if (known.name != entry.name) continue;
            return make_error(StatusCode::failed_precondition,
                              "register backend '{}': the name is taken", entry.name);
        }
        entries_.push_back(std::move(entry));
        return {};
    }

private:
    std::mutex mutex_;
    std::vector<BackendEntry> entries_{{"cpu", &CpuBackend::devices, &CpuBackend::make}};
};

}  // namespace

Status register_backend(BackendEntry entry) {
    return Registry::instance().add(std::move(entry));
}

std::vector<std::string> backend_names() {
    return Registry::instance().names();
}

Result<std::vector<std::string>> backend_devices(std::string_view name) {
    MOLINK_ASSIGN_OR_RETURN(const BackendEntry entry, Registry::instance().find(name));
    return entry.devices();
}

namespace {

/// Returns the device of a backend that is asked for by name; empty: the first. Errors: not_found.
Result<std::string> find_device(const BackendEntry& backend, std::string_view asked) {
    const std::vector<std::string> devices = backend.devices();
    if (devices.empty()) {
        return make_error(StatusCode::not_found, "backend '{}' has no device on this machine",
                          backend.name);
    }
    if (asked.empty()) return devices.front();
    if (std::find(devices.begin(), devices.end(), asked) != devices.end()) {
        return std::string(asked);
    }
    return make_error(StatusCode::not_found, "backend '{}' has no device '{}'; known: {}",
                      backend.name, asked, fmt::join(devices, ", "));
}

/// What users write for a device: a backend and, after a colon, its device.
struct DeviceText {
    explicit DeviceText(std::string_view text)
        : backend(text.substr(0, text.find(':'))),
          device(text.substr(std::min(backend.size() + 1, text.size()))) {}
    std::string_view backend;
    std::string_view device;  ///< may be empty
};

/// Adds the devices that one entry of a list names.
Status add_devices(std::string_view entry, std::vector<std::string>& devices) {
    const DeviceText text(entry);
    MOLINK_ASSIGN_OR_RETURN(const BackendEntry backend, Registry::instance().find(text.backend));
    const bool all = text.device == "all";
    MOLINK_ASSIGN_OR_RETURN(std::string found, find_device(backend, all ? "" : text.device));
    std::vector<std::string> names{std::move(found)};
    if (all) names = backend.devices();
    for (const std::string& name : names) {
        devices.push_back(fmt::format("{}:{}", text.backend, name));
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<Backend>> make_backend(std::string_view name,
                                              const BackendOptions& options) {
    MOLINK_ASSIGN_OR_RETURN(const BackendEntry entry, Registry::instance().find(name));
    BackendOptions chosen = options;
    MOLINK_ASSIGN_OR_RETURN(chosen.device, find_device(entry, options.device));
    const std::string what = fmt::format("backend '{}'", name);
    auto made = call_foreign(what, [&] { return entry.make(chosen); });
    if (made && *made == nullptr) {
        return make_error(StatusCode::internal, "{} made nothing of its device '{}'", what,
                          chosen.device);
    }
    return made;
}

Result<std::unique_ptr<Backend>> open_device(std::string_view text, int threads) {
    const DeviceText parsed(text);
    BackendOptions options;
    options.device = parsed.device;
    options.threads = threads;
    return make_backend(parsed.backend, options);
}

Result<std::vector<std::string>> parse_device_list(std::string_view text) {
    std::vector<std::string> devices;
    for (std::string_view entry : split(text, ',')) {
        MOLINK_RETURN_IF_ERROR(add_devices(entry, devices));
    }
    return devices;
}

}  // namespace molink
