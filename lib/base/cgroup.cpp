// Control groups of Linux. /proc/self/cgroup names the group of the process in each hierarchy, and
// /proc/self/mountinfo says where the hierarchies are. In a container only a part of them is
// mounted: then the groups from that of the container down to that of the process are visible, and
// inodes tell the groups of two containers apart, which have the same path.
#include "base/cgroup.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <vector>

namespace molink {
namespace {

/// Version 1 has no word for "no limit", but a number near the largest one.
constexpr std::int64_t kUnlimitedBytes = std::int64_t{1} << 60;

/// A mounted hierarchy and the group of the process in it.
struct Hierarchy {
    std::string mount;  // where it is mounted
    std::string root;   // the group that is mounted there
    std::string group;  // of the process
};

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream in(line);
    return {std::istream_iterator<std::string>(in), std::istream_iterator<std::string>()};
}

bool lists(const std::string& names, std::string_view name) {
    std::istringstream in(names);
    for (std::string one; std::getline(in, one, ',');) {
        if (one == name) return true;
    }
    return false;
}

/// Returns the group of the process for a controller of version 1, or for version 2 if it is empty.
std::optional<std::string> group_of(const std::string& cgroup, std::string_view controller) {
    std::istringstream lines(cgroup);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string names = line.substr(first + 1, second - first - 1);
        const bool found = controller.empty() ? names.empty() : lists(names, controller);
        if (found) return line.substr(second + 1);
    }
    return std::nullopt;
}

/// Finds the hierarchy of a controller of version 1, or that of version 2 if it is empty.
std::optional<Hierarchy> find_hierarchy(const std::string& mountinfo, const std::string& cgroup,
                                        std::string_view controller) {
    const auto group = group_of(cgroup, controller);
    if (!group) return std::nullopt;
    std::istringstream lines(mountinfo);
    for (std::string line; std::getline(lines, line);) {
        const std::vector<std::string> words = words_of(line);
        const auto dash = std::find(words.begin(), words.end(), "-");
        if (dash - words.begin() < 6 || words.end() - dash < 4) continue;
        const std::string& type = dash[1];
        const bool found =
            controller.empty() ? type == "cgroup2" : type == "cgroup" && lists(dash[3], controller);
        if (found) return Hierarchy{words[4], words[3], *group};
    }
    return std::nullopt;
}

/// Returns the folders of the group of the process and of all groups above it that are visible.
std::vector<std::string> folders_of(const Hierarchy& hierarchy) {
    const std::string root = hierarchy.root == "/" ? "" : hierarchy.root;
    std::string below;  // the mount, if the group is outside of what is mounted
    const bool inside = hierarchy.group.starts_with(root + "/");
    if (inside && hierarchy.group.find("/..") == std::string::npos) {
        below = hierarchy.group.substr(root.size());
    }
    while (below.ends_with('/')) below.pop_back();
    std::vector<std::string> folders{hierarchy.mount + below};
    while (!below.empty()) {
        below.erase(below.rfind('/'));
        folders.push_back(hierarchy.mount + below);
    }
    return folders;
}

/// Returns the first number of a text, if it begins with one.
std::optional<std::int64_t> number_in(const std::optional<std::string>& text) {
    std::int64_t value = 0;
    if (!text) return std::nullopt;
    const auto read = std::from_chars(text->data(), text->data() + text->size(), value);
    if (read.ec != std::errc()) return std::nullopt;
    return value;
}

/// Returns the number behind a name in a file of lines "NAME NUMBER"; 0 without the name.
std::int64_t field_of(const std::optional<std::string>& text, std::string_view name) {
    std::istringstream lines(text.value_or(""));
    std::string word;
    for (std::int64_t value = 0; lines >> word >> value;) {
        if (word == name) return value;
    }
    return 0;
}

/// Names of the files of one version.
struct MemoryNames {
    const char* limit;
    const char* used;
    const char* reclaimable;  // field of memory.stat: pages of files that go first
};
constexpr MemoryNames kMemory2{"/memory.max", "/memory.current", "inactive_file"};
constexpr MemoryNames kMemory1{"/memory.limit_in_bytes", "/memory.usage_in_bytes",
                               "total_inactive_file"};

void add_memory(const CgroupFiles& files, const Hierarchy& hierarchy, const MemoryNames& names,
                CgroupLimits& limits) {
    for (const std::string& folder : folders_of(hierarchy)) {
        const auto limit = number_in(files.text(folder + names.limit));
        if (!limit || *limit >= kUnlimitedBytes) continue;
        const std::int64_t used = number_in(files.text(folder + names.used)).value_or(0) -
                                  field_of(files.text(folder + "/memory.stat"), names.reclaimable);
        const std::int64_t left =
            std::max<std::int64_t>(*limit - std::max<std::int64_t>(used, 0), 0);
        CgroupMemory& memory =
            limits.memory ? *limits.memory : limits.memory.emplace(CgroupMemory{*limit, left, ""});
        memory.left_bytes = std::min(memory.left_bytes, left);
        if (*limit > memory.limit_bytes) continue;
        // Of equal limits the outer one counts: it has more processes.
        memory.limit_bytes = *limit;
        const std::uint64_t inode = files.inode(folder);
        memory.group = inode == 0 ? folder : std::to_string(inode);
    }
}

/// `quota`: the text of the time in each period, "max" or -1 without one.
void add_quota(const std::string& quota, const std::string& period, CgroupLimits& limits) {
    const auto time = number_in(quota);
    const auto every = number_in(period);
    if (!time || !every || *time <= 0 || *every <= 0) return;
    const double cpus = static_cast<double>(*time) / static_cast<double>(*every);
    limits.cpus = std::min(limits.cpus.value_or(cpus), cpus);
}

/// In version 2 cpu.max has both.
void add_cpu_2(const CgroupFiles& files, const Hierarchy& hierarchy, CgroupLimits& limits) {
    for (const std::string& folder : folders_of(hierarchy)) {
        const auto words = words_of(files.text(folder + "/cpu.max").value_or(""));
        if (words.size() == 2) add_quota(words[0], words[1], limits);
    }
}

void add_cpu_1(const CgroupFiles& files, const Hierarchy& hierarchy, CgroupLimits& limits) {
    for (const std::string& folder : folders_of(hierarchy)) {
        add_quota(files.text(folder + "/cpu.cfs_quota_us").value_or(""),
                  files.text(folder + "/cpu.cfs_period_us").value_or(""), limits);
    }
}

class SystemFiles final : public CgroupFiles {
public:
    std::optional<std::string> text(const std::string& path) const override {
        std::ifstream file(path);
        if (!file) return std::nullopt;
        return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    std::uint64_t inode(const std::string& folder) const override {
        struct stat info {};
        return ::stat(folder.c_str(), &info) == 0 ? info.st_ino : 0;
    }
};

}  // namespace

CgroupLimits read_cgroup_limits(const CgroupFiles& files) {
    CgroupLimits limits;
    const std::string cgroup = files.text("/proc/self/cgroup").value_or("");
    const std::string mountinfo = files.text("/proc/self/mountinfo").value_or("");
    // A machine may use both versions: each controller is in one of them.
    if (const auto unified = find_hierarchy(mountinfo, cgroup, "")) {
        add_memory(files, *unified, kMemory2, limits);
        add_cpu_2(files, *unified, limits);
    }
    if (const auto memory = find_hierarchy(mountinfo, cgroup, "memory")) {
        add_memory(files, *memory, kMemory1, limits);
    }
    if (const auto cpu = find_hierarchy(mountinfo, cgroup, "cpu")) add_cpu_1(files, *cpu, limits);
    return limits;
}

CgroupLimits cgroup_limits() {
    return read_cgroup_limits(SystemFiles());
}

int default_threads(int cores, const CgroupLimits& limits) {
    const double cpus = std::min(limits.cpus.value_or(cores), static_cast<double>(cores));
    return std::max(1, static_cast<int>(cpus));
}

}  // namespace molink
