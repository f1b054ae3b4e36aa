// The health address of molink-worker, as a supervisor sees it.
#include <csignal>

#include "served.h"

using namespace molink::test;

namespace {

constexpr double kLimitS = 60;

}  // namespace

TEST_CASE("a worker tells whether it lives, and whether it is ready") {
    const int port = free_port();
    const std::string join = "tcp://127.0.0.1:" + std::to_string(free_port());
    const std::string bin = MOLINK_BIN_DIR;
    Process worker(bin + "/molink-worker", {"--model", kServedModel, "--threads", "1", "--join",
                                            join, "--health", "localhost:" + std::to_string(port)});
    const auto get = [&](const std::string& path) { return http_request(port, "GET", path); };
    const auto until = [](auto done) {
        for (int i = 0; i < 3000; ++i) {
            if (done()) return true;
            std::promise<void>().get_future().wait_for(std::chrono::milliseconds(20));
        }
        return false;
    };
    // Without a head it lives, and is not ready.
    REQUIRE(until([&] { return get("/livez").status == 200; }));
    REQUIRE(until([&] { return value_of(get("/readyz").body, "status") == "joining"; }));
    REQUIRE(get("/readyz").status == 503);
    REQUIRE(get("/metrics").status == 404);
    REQUIRE(http_request(port, "POST", "/livez").status == 405);

    Process head(bin + "/molink-serve",
                 {"--model", kServedModel, "--threads", "1", "--listen", join, "--stages", "2",
                  "--partitioner", "even", "--http", "127.0.0.1:0"});
    REQUIRE(until([&] { return get("/readyz").status == 200; }));
    const HttpAnswer health = get("/health");
    REQUIRE(health.status == 200);
    REQUIRE(until([&] { return value_of(get("/health").body, "status") == "ready"; }));
    REQUIRE(get("/health").body.find("\"device\":\"cpu:0\"") != std::string::npos);
    worker.signal(SIGTERM);
    REQUIRE(worker.wait(kLimitS) == 0);
}

TEST_CASE("a health address that cannot be used ends the worker") {
    const std::string bin = MOLINK_BIN_DIR;
    const auto errors_of = [&](const std::string& address, int status) {
        Process worker(bin + "/molink-worker", {"--model", kServedModel, "--join",
                                                "tcp://127.0.0.1:9", "--health", address});
        REQUIRE(worker.wait(kLimitS) == status);
        return worker.errors();
    };
    REQUIRE(errors_of("127.0.0.1:65536", 2).find("--health is '127.0.0.1:65536'") !=
            std::string::npos);
    const Served served(0);
    const std::string used = "127.0.0.1:" + std::to_string(served.port);
    REQUIRE(errors_of(used, 1).find("another program uses this port") != std::string::npos);
}
