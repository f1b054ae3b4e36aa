// Limits of control groups from the texts of real machines: both versions, nested groups, and what
// containers see of them.
#include "base/cgroup.h"

#include <map>

#include "support/catch.h"

using namespace molink;

namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

struct Texts final : CgroupFiles {
    std::map<std::string, std::string> texts;
    std::map<std::string, std::uint64_t> inodes;

    std::optional<std::string> text(const std::string& path) const override {
        const auto found = texts.find(path);
        if (found == texts.end()) return std::nullopt;
        return found->second;
    }
    std::uint64_t inode(const std::string& folder) const override {
        const auto found = inodes.find(folder);
        return found == inodes.end() ? 0 : found->second;
    }
};

/// A container of docker on a machine with version 2: a namespace of its own.
Texts docker_2() {
    Texts files;
    files.texts = {
        {"/proc/self/cgroup", "0::/\n"},
        {"/proc/self/mountinfo",
         "1009 1002 0:117 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n"
         "1012 1011 0:29 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup "
         "rw,nsdelegate,memory_recursiveprot\n"},
        {"/sys/fs/cgroup/cpu.max", "250000 100000\n"},
        {"/sys/fs/cgroup/memory.max", "8589934592\n"},
        {"/sys/fs/cgroup/memory.current", "2147483648\n"},
        {"/sys/fs/cgroup/memory.stat",
         "anon 1073741824\nfile 1073741824\nkernel 1048576\ninactive_anon 0\n"
         "active_anon 1073741824\ninactive_file 1073741824\nactive_file 0\n"}};
    files.inodes = {{"/sys/fs/cgroup", 7154}};
    return files;
}

}  // namespace

TEST_CASE("a container of version 2 has its quota and its memory, without the cache of files") {
    const CgroupLimits limits = read_cgroup_limits(docker_2());
    REQUIRE(limits.cpus == 2.5);
    REQUIRE(limits.memory == CgroupMemory{8 * kGiB, 7 * kGiB, "7154"});
    Texts other = docker_2();
    other.inodes["/sys/fs/cgroup"] = 7290;
    REQUIRE(read_cgroup_limits(other).memory->group == "7290");
    Texts open = docker_2();
    open.texts["/sys/fs/cgroup/cpu.max"] = "max 100000\n";
    open.texts["/sys/fs/cgroup/memory.max"] = "max\n";
    REQUIRE(read_cgroup_limits(open) == CgroupLimits{});
}

TEST_CASE("the smallest limit of all groups above counts") {
    Texts files;
    const std::string slice = "/sys/fs/cgroup/kubepods.slice";
    const std::string pod = slice + "/kubepods-pod1.slice";
    const std::string box = pod + "/cri-containerd-a.scope";
    files.texts = {
        {"/proc/self/cgroup", "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-a.scope\n"},
        {"/proc/self/mountinfo",
         "24 31 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw\n"
         "35 23 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 "
         "rw,nsdelegate\n"},
        {slice + "/memory.max", "33554432000\n"},
        {slice + "/cpu.max", "max 100000\n"},
        {pod + "/memory.max", "4294967296\n"},
        {pod + "/memory.current", "3221225472\n"},
        {pod + "/cpu.max", "150000 100000\n"},
        {box + "/memory.max", "6442450944\n"},
        {box + "/memory.current", "1073741824\n"},
        {box + "/cpu.max", "400000 100000\n"}};
    files.inodes = {{slice, 11}, {pod, 12}, {box, 13}};
    CgroupLimits limits = read_cgroup_limits(files);
    REQUIRE(limits.cpus == 1.5);
    REQUIRE(limits.memory == CgroupMemory{4 * kGiB, 1 * kGiB, "12"});
    // Of equal limits that of the outer group counts: its processes share the memory.
    files.texts[box + "/memory.max"] = "4294967296\n";
    REQUIRE(read_cgroup_limits(files).memory->group == "12");
    files.texts[box + "/memory.max"] = "4294967295\n";
    REQUIRE(read_cgroup_limits(files).memory->group == "13");
}

TEST_CASE("a container of version 1 sees its own groups at the mounts") {
    Texts files;
    files.texts = {
        {"/proc/self/cgroup",
         "11:memory:/docker/4f2a\n6:cpuset:/docker/4f2a\n4:cpu,cpuacct:/docker/4f2a\n"
         "1:name=systemd:/docker/4f2a\n"},
        {"/proc/self/mountinfo",
         "760 759 0:28 /docker/4f2a /sys/fs/cgroup/systemd ro,nosuid - cgroup cgroup "
         "rw,xattr,name=systemd\n"
         "763 759 0:32 /docker/4f2a /sys/fs/cgroup/cpu,cpuacct ro,nosuid,nodev,noexec,relatime "
         "master:15 - cgroup cgroup rw,cpu,cpuacct\n"
         "768 759 0:37 /docker/4f2a /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime "
         "master:20 - cgroup cgroup rw,memory\n"},
        {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000\n"},
        {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"},
        {"/sys/fs/cgroup/memory/memory.usage_in_bytes", "805306368\n"},
        {"/sys/fs/cgroup/memory/memory.stat",
         "cache 536870912\ninactive_file 1\ntotal_inactive_file 536870912\n"}};
    const CgroupLimits limits = read_cgroup_limits(files);
    REQUIRE(limits.cpus == 3);
    REQUIRE(limits.memory == CgroupMemory{kGiB, kGiB * 3 / 4, "/sys/fs/cgroup/memory"});
}

TEST_CASE("a machine with both versions and no limits has none") {
    Texts files;
    files.texts = {
        {"/proc/self/cgroup",
         "9:name=systemd:/\n8:pids:/\n4:memory:/agent/826e\n3:cpuset:/\n2:cpuacct:/\n1:cpu:/\n"
         "0::/\n"},
        {"/proc/self/mountinfo",
         "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
         "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
         "33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n"
         "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
         "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"},
        {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
        {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
        {"/sys/fs/cgroup/memory/agent/826e/memory.limit_in_bytes", "9223372036854771712\n"}};
    REQUIRE(read_cgroup_limits(files) == CgroupLimits{});
    files.texts["/sys/fs/cgroup/memory/agent/826e/memory.limit_in_bytes"] = "1073741824\n";
    REQUIRE(read_cgroup_limits(files).memory->limit_bytes == kGiB);
}

TEST_CASE("files that are missing or make no sense limit nothing") {
    Texts files;
    REQUIRE(read_cgroup_limits(files) == CgroupLimits{});
    files = docker_2();
    files.texts["/sys/fs/cgroup/cpu.max"] = "";
    files.texts["/sys/fs/cgroup/memory.max"] = "";
    REQUIRE(read_cgroup_limits(files) == CgroupLimits{});
    files.texts["/sys/fs/cgroup/cpu.max"] = "50000 0\n";
    REQUIRE(read_cgroup_limits(files) == CgroupLimits{});
    files = docker_2();
    files.texts["/proc/self/cgroup"] = "0::/../../other\n";  // outside of what is mounted
    REQUIRE(read_cgroup_limits(files).memory->limit_bytes == 8 * kGiB);
    files.texts["/proc/self/mountinfo"] = "1 2 3\nx - cgroup2\n";
    REQUIRE(read_cgroup_limits(files) == CgroupLimits{});
}

TEST_CASE("threads follow the quota, and there is always one") {
    const auto threads = [](int cores, std::optional<double> cpus) {
        return default_threads(cores, {cpus, std::nullopt});
    };
    REQUIRE(threads(8, std::nullopt) == 8);
    REQUIRE(threads(8, 16.0) == 8);
    REQUIRE(threads(8, 4.0) == 4);
    REQUIRE(threads(8, 2.5) == 2);
    REQUIRE(threads(8, 0.5) == 1);
    REQUIRE(threads(2, 0.01) == 1);
}

TEST_CASE("the files of this process can be read") {
    const CgroupLimits limits = cgroup_limits();
    if (limits.memory) REQUIRE(limits.memory->left_bytes <= limits.memory->limit_bytes);
    if (limits.cpus) REQUIRE(*limits.cpus > 0);
}
