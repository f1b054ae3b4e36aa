// Shortages of descriptors, memory and threads as a status.
#include "base/resources.h"

#include <new>
#include <string>
#include <system_error>

#include "support/catch.h"
#include "support/limited_child.h"

using namespace molink;

TEST_CASE("what is left is enough", "[resources]") {
    CHECK(check_resources("test", {20, 1 << 20}).ok());
    CHECK(check_resources("test", {}).ok());
}

TEST_CASE("too few descriptors are told with the limit", "[resources]") {
    const auto result = test::run_limited(10, 0, [] { return check_resources("start", {200, 0}); });
    INFO(result.message);
    CHECK(result.code == StatusCode::resource_exhausted);
    CHECK(result.message.find("start: 200 file descriptors are needed") != std::string::npos);
    CHECK(result.message.find("the limit of this process is 10 (ulimit -n)") != std::string::npos);
}

TEST_CASE("too little address space is told", "[resources]") {
    if (!test::limits_address_space()) return;
    const auto result = test::run_limited(0, std::size_t{8} << 20, [] {
        return check_resources("start", {1, 64u << 20});
    });
    INFO(result.message);
    CHECK(result.code == StatusCode::resource_exhausted);
    CHECK(result.message.find("start: 67108864 bytes of address space") != std::string::npos);
}

TEST_CASE("what the standard library throws becomes a status", "[resources]") {
    const auto thrown = [](auto error) {
        return report_shortage("load", [&]() -> Status { throw error; });
    };
    CHECK(thrown(std::bad_alloc()).to_string() == "resource_exhausted: load: no memory is left");
    const std::system_error thread(std::make_error_code(std::errc::resource_unavailable_try_again));
    CHECK(thrown(thread).code() == StatusCode::resource_exhausted);
    const std::system_error other(std::make_error_code(std::errc::io_error));
    CHECK(thrown(other).code() == StatusCode::internal);
    CHECK(report_shortage("load", [] { return Result<int>(5); }).value() == 5);
}
