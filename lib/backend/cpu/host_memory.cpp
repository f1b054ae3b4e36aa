// The size of the memory. Containers see the whole machine in /proc/meminfo, so the limits of
// control groups are read as well. If the system reports nothing, 1 GiB is assumed, which nearly
// every machine has.
#include "backend/cpu/host_memory.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/host_id.h"

namespace molink {
namespace {

constexpr std::int64_t kUnknownBytes = std::int64_t{1} << 30;

/// Returns a field of /proc/meminfo in bytes.
std::int64_t field_bytes(const std::string& meminfo, const std::string& name) {
    std::istringstream lines(meminfo);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        std::string key;
        std::int64_t kib = 0;
        if (fields >> key >> kib && key == name) return kib * 1024;
    }
    return kUnknownBytes;
}

}  // namespace

DeviceMemory host_memory(const std::string& meminfo, const std::optional<CgroupMemory>& group,
                         const std::string& host) {
    DeviceMemory memory{host, field_bytes(meminfo, "MemTotal:"),
                        field_bytes(meminfo, "MemAvailable:")};
    if (!group) return memory;
    // By limits, not by what is left of them: the domain of a process must not depend on when it
    // was started.
    if (group->limit_bytes < memory.total_bytes) memory.domain += "/" + group->group;
    memory.total_bytes = std::min(memory.total_bytes, group->limit_bytes);
    memory.free_bytes = std::min(memory.free_bytes, group->left_bytes);
    return memory;
}

DeviceMemory host_memory() {
    std::ifstream file("/proc/meminfo");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return host_memory(text, cgroup_limits().memory, host_id());
}

}  // namespace molink
