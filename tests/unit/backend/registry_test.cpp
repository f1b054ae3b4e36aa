// The registry of backends: devices opened by name, and errors for names that are unknown.
#include <algorithm>
#include <stdexcept>

#include "backend/registry.h"
#include "support/catch.h"
#include "support/foreign_backend.h"

namespace molink::test {
namespace {

TEST_CASE("devices are opened by the name that users give") {
    for (const char* text : {"cpu", "cpu:0"}) {
        auto device = open_device(text, 1);
        REQUIRE(device);
        REQUIRE((*device)->name() == "cpu");
        const DeviceMemory memory = (*device)->memory();
        REQUIRE(!memory.domain.empty());
        REQUIRE(memory.free_bytes > 0);
        REQUIRE(memory.free_bytes <= memory.total_bytes);
    }
    const auto devices = backend_devices("cpu");
    REQUIRE(devices);
    REQUIRE(*devices == std::vector<std::string>{"0"});
}

TEST_CASE("a list names devices of one or several backends") {
    const auto parse = [](const char* text) { return parse_device_list(text); };
    REQUIRE(*parse("cpu") == std::vector<std::string>{"cpu:0"});
    REQUIRE(*parse("cpu:all") == std::vector<std::string>{"cpu:0"});
    register_foreign_backend();
    REQUIRE(*parse("foreign") == std::vector<std::string>{"foreign:0"});
    REQUIRE(*parse("foreign:1,cpu,foreign:0") ==
            std::vector<std::string>{"foreign:1", "cpu:0", "foreign:0"});
    REQUIRE(*parse("foreign:all") == std::vector<std::string>{"foreign:0", "foreign:1"});
    REQUIRE(parse("").status().message().find("no backend ''; known: cpu") == 0);
    REQUIRE(parse("cpu:0,foreign:7").status().message() ==
            "backend 'foreign' has no device '7'; known: 0, 1");
}

TEST_CASE("an error names the unknown backend or device and the known ones") {
    const auto no_backend = open_device("gpu:0", 1);
    REQUIRE(!no_backend);
    REQUIRE(no_backend.error().code() == StatusCode::not_found);
    REQUIRE(no_backend.error().message().find("no backend 'gpu'; known: cpu") == 0);
    const auto no_device = open_device("cpu:1", 1);
    REQUIRE(!no_device);
    REQUIRE(no_device.error().code() == StatusCode::not_found);
    REQUIRE(no_device.error().message() == "backend 'cpu' has no device '1'; known: 0");
}

TEST_CASE("a registered backend is known by its name, and a name is registered only once") {
    BackendEntry entry;
    entry.name = "absent";
    entry.devices = [] { return std::vector<std::string>{}; };
    REQUIRE(register_backend({"cpu", entry.devices, {}}).code() == StatusCode::failed_precondition);
    static const Status registered = register_backend(entry);
    REQUIRE(registered.ok());
    REQUIRE(register_backend(entry).code() == StatusCode::failed_precondition);
    const std::vector<std::string> names = backend_names();
    REQUIRE(names.front() == "cpu");
    REQUIRE(std::count(names.begin(), names.end(), "absent") == 1);
    const auto device = open_device("absent", 1);
    REQUIRE(!device);
    REQUIRE(device.error().message() == "backend 'absent' has no device on this machine");
}

TEST_CASE("a backend that makes nothing or throws is refused by name") {
    BackendEntry empty;
    empty.name = "empty";
    empty.devices = [] { return std::vector<std::string>{"0"}; };
    empty.make = [](const BackendOptions&) -> Result<std::unique_ptr<Backend>> {
        return std::unique_ptr<Backend>();
    };
    BackendEntry thrower = empty;
    thrower.name = "thrower";
    thrower.make = [](const BackendOptions&) -> Result<std::unique_ptr<Backend>> {
        throw std::runtime_error("no driver");
    };
    static const Status registered = register_backend(empty);
    static const Status also_registered = register_backend(thrower);
    REQUIRE(registered.ok());
    REQUIRE(also_registered.ok());
    CHECK(open_device("empty", 1).status().to_string() ==
          "internal: backend 'empty' made nothing of its device '0'");
    CHECK(open_device("thrower", 1).status().to_string() ==
          "internal: backend 'thrower': it threw no driver");
}

}  // namespace
}  // namespace molink::test
