#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace molink {

/// The group that bounds the memory of a process.
struct CgroupMemory {
    std::int64_t limit_bytes = 0;  ///< the smallest of all groups that the process is in
    std::int64_t left_bytes = 0;   ///< until the first of the groups is full
    std::string group;             ///< names the group with that limit; differs between groups
    friend bool operator==(const CgroupMemory&, const CgroupMemory&) = default;
};

/// What control groups let a process use.
struct CgroupLimits {
    std::optional<double> cpus;          ///< CPUs that the quota is worth; none: no quota
    std::optional<CgroupMemory> memory;  ///< none: no limit
    friend bool operator==(const CgroupLimits&, const CgroupLimits&) = default;
};

/// Files in /proc and in the file systems of control groups.
class CgroupFiles {
public:
    virtual ~CgroupFiles() = default;
    /// Returns the text of a file; nothing if it cannot be read.
    virtual std::optional<std::string> text(const std::string& path) const = 0;
    /// Returns the number of a folder, which no other group on this machine has; 0 if unknown.
    virtual std::uint64_t inode(const std::string& folder) const = 0;
};

/// Reads the limits of the process whose files these are, of versions 1 and 2. Limits of all groups
/// above that of the process count.
CgroupLimits read_cgroup_limits(const CgroupFiles& files);

/// Returns the limits of this process, as they are now.
CgroupLimits cgroup_limits();

/// Returns the number of threads that compute by default: one for each core that the process may
/// run on, and no more than its quota has whole CPUs. What is left of the quota is for the loop and
/// the sockets.
int default_threads(int cores, const CgroupLimits& limits);

}  // namespace molink
