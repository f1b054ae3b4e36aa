// Reads the size of the memory from the system. Containers see the whole machine in /proc/meminfo,
// so the limit of the control group is read as well. If the system reports nothing, 1 GiB is
// assumed, which nearly every machine has.
#include "backend/cpu/host_memory.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "base/host_id.h"

namespace molink {
namespace {

constexpr std::int64_t kUnknownBytes = std::int64_t{1} << 30;

std::optional<std::int64_t> read_number(const char* path) {
    std::ifstream file(path);
    std::int64_t value = 0;
    if (file >> value) return value;
    return std::nullopt;
}

}  // namespace

DeviceMemory host_memory() {
    std::optional<std::int64_t> total;
    std::optional<std::int64_t> available;
    std::ifstream info("/proc/meminfo");
    for (std::string line; std::getline(info, line);) {
        std::istringstream fields(line);
        std::string key;
        std::int64_t kib = 0;
        if (!(fields >> key >> kib)) continue;
        if (key == "MemTotal:") total = kib * 1024;
        if (key == "MemAvailable:") available = kib * 1024;
    }
    if (const auto limit = read_number("/sys/fs/cgroup/memory.max")) {
        const std::int64_t used = read_number("/sys/fs/cgroup/memory.current").value_or(0);
        const std::int64_t left = std::max<std::int64_t>(*limit - used, 0);
        total = std::min(total.value_or(*limit), *limit);
        available = std::min(available.value_or(left), left);
    }
    return {host_id(), total.value_or(kUnknownBytes), available.value_or(kUnknownBytes)};
}

}  // namespace molink
