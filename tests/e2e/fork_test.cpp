// A process that forks while it runs an engine and a worker: the child can use neither, whatever it
// calls and whichever locks were held, and the parent goes on serving.
#include <molink/engine.h>
#include <molink/worker.h>

#include "support/catch.h"
#include "support/forked.h"
#include "support/local_cluster.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using namespace molink::test;

namespace {

constexpr int kStreams = 4;
constexpr int kForks = 20;

struct ForkedNodes {
    TempDir dir;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Worker> worker;

    ForkedNodes() {
        REQUIRE(write_tiny_model(dir.path()).ok());
        EngineOptions head;
        fill(head);
        head.stages = 2;
        auto opened = Engine::open(std::move(head));
        REQUIRE(opened.has_value());
        engine = std::move(*opened);
        WorkerOptions options;
        fill(options);
        options.join = engine->address();
        options.give_up_after_us = 0;
        auto joined = Worker::open(std::move(options));
        REQUIRE(joined.has_value());
        worker = std::move(*joined);
        REQUIRE(engine->wait_ready(60'000'000).ok());
    }
    void fill(NodeOptions& node) const {
        node.model_dir = dir.string();
        node.threads = 1;
        node.memory_bytes = 64 << 20;
    }
};

GenerateRequest request_of(int index, std::int32_t tokens) {
    GenerateRequest request;
    for (int i = 0; i < 20 + index; ++i) request.prompt_tokens.push_back((i * 7 + index) % 256);
    request.max_tokens = tokens;
    request.ignore_eos = true;
    return request;
}

bool refused(const Status& status) {
    return status.code() == StatusCode::failed_precondition &&
           status.message().find("was opened in process") != std::string::npos;
}

/// Calls everything in a child. Returns the name of the first call that does not refuse.
std::string use_engine(Engine& engine) {
    if (!refused(engine.wait_ready(kWaitForever))) return "wait_ready";
    if (!refused(engine.submit(request_of(0, 1), [](const auto&) {}).status())) return "submit";
    engine.cancel(RequestId(1));
    if (!refused(engine.tokenize("a", false).status())) return "tokenize";
    if (!refused(engine.detokenize(std::vector<Token>{65}).status())) return "detokenize";
    if (!engine.address().empty()) return "address";
    if (engine.model().layers != 0) return "model";
    if (engine.cluster().state != EngineState::closed) return "cluster";
    if (!engine.partition().plan.stages.empty()) return "partition";
    if (engine.metrics().requests_submitted != 0) return "metrics";
    return refused(engine.close()) ? "" : "close";
}

std::string use_worker(Worker& worker) {
    if (!refused(worker.wait(kWaitForever))) return "wait";
    const WorkerView view = worker.view();
    if (view.state != NodeState::lost || !view.stages.empty()) return "view";
    worker.close();
    return "";
}

}  // namespace

TEST_CASE("a child of fork() can use neither engine nor worker, and the parent serves on") {
    ForkedNodes nodes;
    Requests requests(*nodes.engine);
    std::vector<std::vector<Token>> expected;
    for (int i = 0; i < kStreams; ++i) {
        expected.push_back(requests.run(request_of(i, 300)).tokens);
    }
    std::vector<RequestId> streams;
    for (int i = 0; i < kStreams; ++i) streams.push_back(requests.submit(request_of(i, 300)));
    for (int i = 0; i < kForks; ++i) {
        const std::string problem = run_forked([&]() -> std::string {
            std::string wrong = use_engine(*nodes.engine);
            if (wrong.empty()) wrong = use_worker(*nodes.worker);
            nodes.engine.reset();
            nodes.worker.reset();
            return wrong;
        });
        REQUIRE(problem == "");
    }
    for (std::size_t i = 0; i < streams.size(); ++i) {
        const Completion completion = requests.wait(streams[i]).front();
        INFO(completion.status.to_string());
        CHECK(completion.tokens == expected[i]);
    }
    CHECK(requests.run(request_of(0, 300)).tokens == expected[0]);
    CHECK(nodes.engine->close().ok());
    CHECK(nodes.worker->wait(10'000'000).ok());
}

TEST_CASE("a child of fork() opens and uses an engine of its own") {
#ifdef __SANITIZE_THREAD__
    return;  // the thread sanitizer permits no threads in a child of a process with threads
#endif
    const ForkedNodes nodes;
    const std::string problem = run_forked([&]() -> std::string {
        EngineOptions options;
        nodes.fill(options);
        auto own = Engine::open(std::move(options));
        if (!own) return own.error().to_string();
        const Status ready = (*own)->wait_ready(30'000'000);
        return ready.ok() ? "" : ready.to_string();
    });
    CHECK(problem == "");
}
