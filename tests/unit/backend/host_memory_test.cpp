// The memory that a process may use: that of the machine, or of the group that limits it.
#include "backend/cpu/host_memory.h"

#include "support/catch.h"

using namespace molink;

namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;
const std::string kMeminfo =
    "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    8388608 kB\n"
    "Buffers:          204800 kB\nHugePages_Total:       0\nDirectMap4k:      354136 kB\n";

}  // namespace

TEST_CASE("without a limit the memory is the machine's") {
    const DeviceMemory memory = host_memory(kMeminfo, std::nullopt, "host");
    REQUIRE(memory.domain == "host");
    REQUIRE(memory.total_bytes == 16 * kGiB);
    REQUIRE(memory.free_bytes == 8 * kGiB);
    REQUIRE(host_memory("", std::nullopt, "host").free_bytes == kGiB);
}

TEST_CASE("groups with limits of their own are domains of their own, processes of one are not") {
    const auto in_group = [](std::int64_t limit, std::int64_t left, const char* group) {
        return host_memory(kMeminfo, CgroupMemory{limit, left, group}, "host");
    };
    const DeviceMemory first = in_group(4 * kGiB, 3 * kGiB, "12");
    REQUIRE(first.domain == "host/12");
    REQUIRE(first.total_bytes == 4 * kGiB);
    REQUIRE(first.free_bytes == 3 * kGiB);
    REQUIRE(in_group(4 * kGiB, kGiB, "12").domain == first.domain);
    REQUIRE(in_group(4 * kGiB, 3 * kGiB, "13").domain != first.domain);
    // A limit that is no limit: the processes share what the machine has.
    const DeviceMemory wide = in_group(64 * kGiB, 64 * kGiB, "12");
    REQUIRE(wide.domain == "host");
    REQUIRE(wide.free_bytes == 8 * kGiB);
    // The machine may have less left than the group.
    REQUIRE(in_group(12 * kGiB, 12 * kGiB, "12").free_bytes == 8 * kGiB);
}
