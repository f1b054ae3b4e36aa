// Workers as processes outlive heads as processes: heads that end, crash or come back. A worker
// whose head crashed keeps its layers, and needs no file to serve the next one.
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

namespace {

using molink::test::Flags;
using molink::test::Process;
using molink::test::operator+;

const std::string kBin = MOLINK_BIN_DIR;
constexpr double kLimitS = 60;

/// A model for the head, a copy for the worker, and a port.
struct Scene {
    Scene() {
        REQUIRE(write_tiny_model(head_dir.path(), {}).ok());
        for (const auto& file : std::filesystem::directory_iterator(head_dir.path())) {
            std::filesystem::copy(file.path(), worker_dir / file.path().filename());
        }
    }
    Flags of(const TempDir& dir) const {
        return {"--model", dir.string(), "--threads", "1", "--memory-gib", "0.1"};
    }
    std::unique_ptr<Process> head() const {
        return std::make_unique<Process>(
            kBin + "/molink-generate",
            of(head_dir) + Flags{"--listen", address, "--stages", "2", "--partitioner", "even",
                                 "--prompt", "The quick brown fox", "--max-tokens", "30", "--json",
                                 "--ignore-eos"});
    }
    /// A head that stays until it is killed.
    std::unique_ptr<Process> lasting_head() const {
        return std::make_unique<Process>(
            kBin + "/molink-serve",
            of(head_dir) + Flags{"--listen", address, "--stages", "2", "--partitioner", "even",
                                 "--http",
                                 "127.0.0.1:" + std::to_string(molink::test::free_port())});
    }
    std::unique_ptr<Process> worker(const Flags& more = {}) const {
        return std::make_unique<Process>(kBin + "/molink-worker",
                                         of(worker_dir) + Flags{"--join", address} + more);
    }

    TempDir head_dir;
    TempDir worker_dir;
    std::string address = "tcp://127.0.0.1:" + std::to_string(molink::test::free_port());
};

std::string tokens_of(Process& head) {
    const int status = head.wait(kLimitS);
    INFO(head.errors());
    REQUIRE(status == 0);
    const std::string json = head.output();
    const std::size_t begin = json.find("\"tokens\":[");
    REQUIRE(begin != std::string::npos);
    return json.substr(begin, json.find(']', begin) - begin);
}

bool says(Process& process, const std::string& words) {
    for (int i = 0; i < 600 && process.errors().find(words) == std::string::npos; ++i) {
        if (process.wait(0.1) != -1) break;
    }
    INFO(process.errors());
    CHECK(process.errors().find(words) != std::string::npos);
    return process.errors().find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("one worker serves several heads, one after the other, and ends by a signal") {
    const Scene scene;
    auto worker = scene.worker();
    std::string expected;
    for (int i = 0; i < 3; ++i) {
        auto head = scene.head();
        const std::string tokens = tokens_of(*head);
        if (i == 0) expected = tokens;
        CHECK(tokens == expected);
        REQUIRE(worker->wait(0) == -1);
    }
    REQUIRE(says(*worker, "waits for a head: dismissed by the head: the head closed the cluster"));
    worker->signal(SIGTERM);
    CHECK(worker->wait(kLimitS) == 0);
}

TEST_CASE("a worker whose head crashed serves the next one with the layers that it has") {
    const Scene scene;
    std::string expected;
    {
        auto worker = scene.worker({"--give-up-after", "0"});
        auto head = scene.head();
        expected = tokens_of(*head);
        CHECK(worker->wait(kLimitS) == 0);
    }
    auto worker = scene.worker();
    auto first = scene.lasting_head();
    REQUIRE(says(*worker, "serves layers"));
    std::filesystem::resize_file(scene.worker_dir / "model.safetensors", 100);
    first->signal(SIGKILL);
    REQUIRE(first->wait(kLimitS) == 128 + SIGKILL);
    auto second = scene.head();
    CHECK(tokens_of(*second) == expected);
    worker->signal(SIGTERM);
    CHECK(worker->wait(kLimitS) == 0);
}

TEST_CASE("a worker gives up after its time, and says so by its exit status") {
    const Scene scene;
    auto worker = scene.worker({"--give-up-after", "1"});
    auto head = scene.lasting_head();
    REQUIRE(says(*worker, "serves layers"));
    head->signal(SIGKILL);
    CHECK(worker->wait(kLimitS) == 4);
    INFO(worker->errors());
    CHECK(worker->errors().find("the head '") != std::string::npos);
}
