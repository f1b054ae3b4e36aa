// The backends of this process. Each backend that is compiled in has a folder and an entry here.
// Others are registered by tests, or by a plug-in when it is loaded. The op conformance test runs
// on all of them unchanged.
#include "backend/registry.h"

#include <algorithm>
#include <mutex>

#include <fmt/format.h>

#include "backend/cpu/cpu_backend.h"
#include "base/error.h"
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

Result<std::unique_ptr<Backend>> make_backend(std::string_view name,
                                              const BackendOptions& options) {
    MOLINK_ASSIGN_OR_RETURN(const BackendEntry entry, Registry::instance().find(name));
    const std::vector<std::string> devices = entry.devices();
    if (devices.empty()) {
        return make_error(StatusCode::not_found, "backend '{}' has no device on this machine",
                          name);
    }
    BackendOptions chosen = options;
    if (chosen.device.empty()) chosen.device = devices.front();
    if (std::find(devices.begin(), devices.end(), chosen.device) == devices.end()) {
        return make_error(StatusCode::not_found, "backend '{}' has no device '{}'; known: {}", name,
                          chosen.device, fmt::join(devices, ", "));
    }
    return entry.make(chosen);
}

Result<std::unique_ptr<Backend>> open_device(std::string_view text, int threads) {
    const std::size_t colon = text.find(':');
    BackendOptions options;
    if (colon != std::string_view::npos) options.device = text.substr(colon + 1);
    options.threads = threads;
    return make_backend(text.substr(0, colon), options);
}

namespace {

/// Adds the devices that one entry of a list names.
Status add_devices(std::string_view entry, std::vector<std::string>& devices) {
    const std::size_t colon = entry.find(':');
    const std::string_view backend = entry.substr(0, colon);
    MOLINK_ASSIGN_OR_RETURN(std::vector<std::string> known, backend_devices(backend));
    if (known.empty()) {
        return make_error(StatusCode::not_found, "backend '{}' has no device here", backend);
    }
    const std::string_view asked =
        colon == std::string_view::npos ? std::string_view() : entry.substr(colon + 1);
    if (asked.empty()) {
        known.resize(1);
    } else if (asked != "all") {
        if (std::find(known.begin(), known.end(), asked) == known.end()) {
            return make_error(StatusCode::not_found, "backend '{}' has no device '{}'; known: {}",
                              backend, asked, fmt::join(known, ", "));
        }
        known = {std::string(asked)};
    }
    for (const std::string& device : known)
        devices.push_back(fmt::format("{}:{}", backend, device));
    return {};
}

}  // namespace

Result<std::vector<std::string>> parse_device_list(std::string_view text) {
    std::vector<std::string> devices;
    for (std::string_view entry : split(text, ',')) {
        MOLINK_RETURN_IF_ERROR(add_devices(entry, devices));
    }
    return devices;
}

}  // namespace molink
