// Nodes that start while file descriptors or memory are short: a status that says what was
// attempted and what is missing, and never the end of the process.
#include <molink/engine.h>
#include <molink/worker.h>

#include <string>

#include "support/catch.h"
#include "support/limited_child.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using test::ChildResult;
using test::run_limited;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// Opens an engine that serves alone.
Status serve(const std::string& dir) {
    EngineOptions options;
    options.model_dir = dir;
    options.stages = 1;
    options.threads = 4;
    auto engine = Engine::open(std::move(options));
    if (!engine) return engine.error();
    return (*engine)->wait_ready(60'000'000);
}

Status join(const std::string& dir) {
    WorkerOptions options;
    options.model_dir = dir;
    options.join = "tcp://127.0.0.1:9";
    options.threads = 1;
    auto worker = Worker::open(std::move(options));
    return worker ? Status() : worker.error();
}

}  // namespace

TEST_CASE("a node without file descriptors says so", "[shortage]") {
    const TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    for (const std::size_t limit : {3, 4, 8, 12, 16, 20, 24, 28}) {
        for (const auto& attempt : {serve, join}) {
            const ChildResult result = run_limited(limit, 0, [&] { return attempt(dir.string()); });
            INFO("limit " << limit << ": " << result.message);
            CHECK(result.signal == 0);
            if (result.code == StatusCode::ok && limit > 24) continue;
            CHECK(result.code == StatusCode::resource_exhausted);
            CHECK(result.message.find(dir.string()) != std::string::npos);
            CHECK(result.message.find("ulimit -n") != std::string::npos);
        }
    }
    CHECK(run_limited(64, 0, [&] { return serve(dir.string()); }).code == StatusCode::ok);
}

TEST_CASE("a node without memory says so", "[shortage]") {
    if (!test::limits_address_space()) return;
    const TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    int refused = 0;
    for (std::size_t more = kMiB; more <= 160 * kMiB;
         more += more < 16 * kMiB ? 3 * kMiB : 24 * kMiB) {
        const ChildResult result = run_limited(0, more, [&] { return serve(dir.string()); });
        INFO(more << " bytes: " << result.message);
        CHECK(result.signal == 0);
        if (result.code == StatusCode::ok) continue;
        ++refused;
        CHECK(result.code == StatusCode::resource_exhausted);
        CHECK_FALSE(result.message.empty());
    }
    CHECK(refused > 5);
    CHECK(run_limited(0, 2048 * kMiB, [&] { return serve(dir.string()); }).code == StatusCode::ok);
}
