// Tests clusters whose nodes compute on a device that is unlike the host: the host cannot read its
// memory, and it works late and on another thread. Results are those of clusters of CPUs, and
// errors of the device reach the user.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>

#include "support/catch.h"
#include "support/foreign_backend.h"
#include "support/local_cluster.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using namespace molink::test;

namespace {

struct Setup {
    std::int32_t nodes = 1;  // processes
    bool local_stage = true;
    LmHead lm_head = LmHead::last;
    std::vector<std::string> devices;  // of the processes in turn
    std::int32_t stages = 0;           // 0: one for each process
};

GenerateRequest request_of(int index) {
    GenerateRequest request;
    for (int i = 0; i < 60 + index; ++i) {
        request.prompt_tokens.push_back(static_cast<Token>((i * i * 7 + i * 13 + index) % 256));
    }
    request.max_tokens = 24;
    request.ignore_eos = true;
    request.hash_logits = index % 3 == 0;
    request.sampling.temperature = index % 3 == 1 ? 0.8f : 0.0f;
    request.sampling.seed = 5 + static_cast<std::uint64_t>(index);
    return request;
}

/// Runs eight requests at once: greedy ones, sampled ones, and ones with hashes of all logits.
std::vector<Completion> run(const std::string& model, const Setup& setup) {
    LocalClusterOptions options;
    options.model_dir = model;
    options.nodes = setup.nodes;
    options.local_stage = setup.local_stage;
    std::size_t next = 0;
    options.each = [&](NodeOptions& node) {
        node.backend = setup.devices[next++ % setup.devices.size()];
    };
    options.engine = [&](EngineOptions& engine) {
        engine.lm_head = setup.lm_head;
        if (setup.stages > 0) engine.stages = setup.stages;
        engine.max_slice_tokens = 16;
        engine.partitioner = make_even_partitioner();
    };
    LocalCluster cluster(options);
    Requests requests(cluster.engine());
    std::vector<RequestId> ids;
    for (int i = 0; i < 8; ++i) ids.push_back(requests.submit(request_of(i)));
    std::vector<Completion> completions;
    for (const RequestId id : ids) completions.push_back(requests.wait(id).front());
    return completions;
}

/// Waits for a line of a node's log.
class LineWaiter final : public LogSink {
public:
    explicit LineWaiter(std::string words) : words_(std::move(words)) {}
    void write(LogLevel, std::string_view line) override {
        const std::lock_guard lock(mutex_);
        if (line.find(words_) == std::string_view::npos) return;
        line_ = line;
        there_.notify_all();
    }
    std::string wait() {
        std::unique_lock lock(mutex_);
        there_.wait(lock, [&] { return !line_.empty(); });
        return line_;
    }

private:
    const std::string words_;
    std::mutex mutex_;
    std::condition_variable there_;
    std::string line_;
};

void require_same(const std::vector<Completion>& got, const std::vector<Completion>& want) {
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
        INFO("request " << i);
        REQUIRE(got[i].tokens == want[i].tokens);
        REQUIRE(got[i].hashes == want[i].hashes);
    }
}

}  // namespace

TEST_CASE("clusters of foreign devices give the tokens and hashes of a CPU") {
    register_foreign_backend();
    TempDir dir;
    TinyModelOptions model;
    model.tied = true;
    REQUIRE(write_tiny_model(dir.path(), model).ok());
    const std::vector<Completion> expected = run(dir.string(), {1, true, LmHead::last, {"cpu"}});
    REQUIRE(expected[0].tokens.size() == 24);
    REQUIRE(!expected[0].hashes.empty());
    const std::vector<Setup> setups{
        {1, true, LmHead::last, {"foreign:0"}},
        {1, true, LmHead::last, {"foreign:1"}},
        {3, true, LmHead::last, {"foreign:0", "foreign:1"}},
        {3, true, LmHead::first, {"foreign:1", "foreign:0"}},
        {2, false, LmHead::last, {"cpu", "foreign:1", "foreign:0"}},
        {3, true, LmHead::last, {"cpu", "foreign:0", "cpu"}},
        {1, true, LmHead::last, {"foreign:all"}, 2},
        {2, true, LmHead::last, {"foreign:0,cpu", "foreign:1,foreign:0"}, 4},
        {2, true, LmHead::first, {"cpu", "foreign:0,foreign:1"}, 3},
        {2, false, LmHead::last, {"cpu", "foreign:1,foreign:0,cpu"}, 3},
    };
    for (const Setup& setup : setups) {
        INFO(setup.nodes << " nodes, first on " << setup.devices.front());
        require_same(run(dir.string(), setup), expected);
    }
}

TEST_CASE("an error of the head's device ends its requests and names device and op") {
    ForeignOptions options;
    options.name = "breaks";
    options.failing_op = "embed";  // is not measured while the node opens
    options.fail_at = 20;          // while it decodes
    register_foreign_backend(options);
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    LocalClusterOptions cluster_options;
    cluster_options.model_dir = dir.string();
    cluster_options.each = [](NodeOptions& node) { node.backend = "breaks:1"; };
    LocalCluster cluster(cluster_options);
    Requests requests(cluster.engine());
    GenerateRequest request = request_of(0);
    request.max_tokens = 200;
    std::atomic<bool> said{false};
    const RequestId id = requests.submit(request, [&](const RequestEvent& event) {
        if (event.status.message().find("breaks:1: embed failed") != std::string::npos) {
            said = true;
        }
    });
    REQUIRE(requests.wait(id).front().reason == FinishReason::error);
    REQUIRE(said);
}

TEST_CASE("an error of a worker's device reaches the head with device and op") {
    ForeignOptions options;
    options.name = "breaks there";
    options.failing_op = "gather_rows";  // runs before the LM head, on the last stage
    options.fail_at = 8;
    register_foreign_backend(options);
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    LineWaiter lost("was lost");
    LocalClusterOptions cluster_options;
    cluster_options.model_dir = dir.string();
    cluster_options.nodes = 2;
    cluster_options.each = [](NodeOptions& node) {
        if (node.name == "worker1") node.backend = "breaks there:0";
    };
    cluster_options.engine = [&](EngineOptions& engine) {
        engine.partitioner = make_even_partitioner();
        engine.log = &lost;
    };
    LocalCluster cluster(cluster_options);
    Requests requests(cluster.engine());
    GenerateRequest request = request_of(0);
    request.max_tokens = 200;
    static_cast<void>(requests.submit(request));
    const std::string line = lost.wait();
    static_cast<void>(cluster.engine().close().ok());  // the request waits for another worker
    INFO(line);
    REQUIRE(line.find("worker1") != std::string::npos);
    REQUIRE(line.find("breaks there:0: gather_rows failed") != std::string::npos);
}

TEST_CASE("an error tells how much memory a device lacks for its pages") {
    ForeignOptions options;
    options.name = "small";
    options.memory_bytes = 3'000'000;
    register_foreign_backend(options);
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    LocalClusterOptions cluster_options;
    cluster_options.model_dir = dir.string();
    cluster_options.each = [](NodeOptions& node) { node.backend = "small:0"; };
    std::string words;
    try {
        const LocalCluster cluster(cluster_options);
    } catch (const std::runtime_error& error) {
        words = error.what();
    }
    INFO(words);
    REQUIRE(words.find("resource_exhausted: ") == 0);
    REQUIRE(words.find("small:0: ") != std::string::npos);
    REQUIRE(words.find("of 3000000 are free") != std::string::npos);
}
