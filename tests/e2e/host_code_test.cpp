// Code of the host that fails: factories that return nothing or throw, policies and callbacks that
// throw, a transport that throws on the loop, a scheduler that does not return. Each becomes a
// status that names it, and the process goes on.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>

#include <molink/engine.h>
#include <molink/worker.h>

#include "support/catch.h"
#include "support/local_cluster.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using namespace molink::test;

namespace {

constexpr std::int64_t kLimitUs = 60'000'000;

struct TinyModelDir {
    TempDir dir;
    TinyModelDir() { REQUIRE(write_tiny_model(dir.path()).ok()); }
    void fill(NodeOptions& node) const {
        node.model_dir = dir.string();
        node.threads = 1;
        node.memory_bytes = 64 << 20;
    }
    EngineOptions alone() const {
        EngineOptions options;
        fill(options);
        return options;
    }
    /// A token takes 30 ms, so that a request of some hundred cannot end before something happens.
    EngineOptions slow() const {
        EngineOptions options = alone();
        options.backend = "timed";
        options.timed.decode_layer_us = 5000;
        return options;
    }
};

GenerateRequest request_of(std::int32_t tokens) {
    GenerateRequest request;
    request.prompt_tokens = {5, 9, 2, 8};
    request.max_tokens = tokens;
    request.ignore_eos = true;
    return request;
}

/// Collects lines, and lets a test wait for one.
class WaitedLines final : public LogSink {
public:
    void write(LogLevel, std::string_view line) override {
        const std::lock_guard lock(mutex_);
        text_ += std::string(line) + "\n";
        changed_.notify_all();
    }
    bool wait_for(const std::string& words) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(60),
                                 [&] { return text_.find(words) != std::string::npos; });
    }
    bool has(const std::string& words) {
        const std::lock_guard lock(mutex_);
        return text_.find(words) != std::string::npos;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string text_;
};

[[noreturn]] void fall_over() {
    throw std::runtime_error("the host fell over");
}

/// The default cluster policy, one function of which throws.
class ThrowingCluster final : public Cluster {
public:
    enum class Where { name, admit, select, missing, fixed_order };
    ThrowingCluster(std::int32_t stages, Where where)
        : inner_(make_seed_cluster(stages)), where_(where) {}
    std::string_view name() const override {
        fall(Where::name);
        return "throwing";
    }
    Status admit(const NodeInfo& node, std::span<const NodeInfo> members) override {
        fall(Where::admit);
        return inner_->admit(node, members);
    }
    std::vector<NodeId> select(std::span<const NodeInfo> members) override {
        fall(Where::select);
        return inner_->select(members);
    }
    bool fixed_order() const override {
        fall(Where::fixed_order);
        return false;
    }
    std::string missing(std::span<const NodeInfo> members) override {
        fall(Where::missing);
        return inner_->missing(members);
    }

private:
    void fall(Where where) const {
        if (where == where_) fall_over();
    }
    std::unique_ptr<Cluster> inner_;
    Where where_;
};

/// Selects what it is told.
class ToldCluster final : public Cluster {
public:
    explicit ToldCluster(std::vector<NodeId> nodes) : nodes_(std::move(nodes)) {}
    std::string_view name() const override { return "told"; }
    Status admit(const NodeInfo&, std::span<const NodeInfo>) override { return {}; }
    std::vector<NodeId> select(std::span<const NodeInfo>) override { return nodes_; }
    std::string missing(std::span<const NodeInfo>) override { return ""; }

private:
    std::vector<NodeId> nodes_;
};

class ThrowingPartitioner final : public Partitioner {
public:
    std::string_view name() const override { return "broken"; }
    Result<PartitionPlan> partition(const PartitionInput&) override { fall_over(); }
};

class ThrowingTransmit final : public TransmitPolicy {
public:
    std::string_view name() const override { return "broken"; }
    TransmitPlan next(const TransmitView&) override { throw 7; }
};

/// A ZeroMQ transport that throws from poll() once it is told to.
class ThrowingTransport final : public Transport {
public:
    ThrowingTransport(std::unique_ptr<Transport> inner, const std::atomic<bool>& throws)
        : inner_(std::move(inner)), throws_(throws) {}
    std::string_view name() const override { return "throwing"; }
    Result<std::string> listen(const std::string& address) override {
        return inner_->listen(address);
    }
    Result<ConnectionId> connect(const DialTarget& target) override {
        return inner_->connect(target);
    }
    SendOutcome send(ConnectionId connection, Frame&& frame) override {
        return inner_->send(connection, std::move(frame));
    }
    std::size_t poll(std::int64_t timeout_us, TransportSink& sink) override {
        if (throws_) fall_over();
        return inner_->poll(timeout_us, sink);
    }
    void wake() override {
        if (throws_) fall_over();
        inner_->wake();
    }
    void close(ConnectionId connection) override { inner_->close(connection); }
    void trust(ConnectionId connection) override { inner_->trust(connection); }

private:
    std::unique_ptr<Transport> inner_;
    const std::atomic<bool>& throws_;
};

std::function<Result<std::unique_ptr<Transport>>()> throwing_transport(
    const std::atomic<bool>& throws) {
    return [&throws]() -> Result<std::unique_ptr<Transport>> {
        return std::unique_ptr<Transport>(
            std::make_unique<ThrowingTransport>(std::move(*make_zmq_transport()), throws));
    };
}

/// Blocks in its first plan until it is let go.
class StuckScheduler final : public Scheduler {
public:
    std::string_view name() const override { return "stuck"; }
    void plan(const SchedulerView& view, StepPlan& plan) override {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return free_; });
        inner_->plan(view, plan);
    }
    void let_go() {
        const std::lock_guard lock(mutex_);
        free_ = true;
        changed_.notify_all();
    }

private:
    std::unique_ptr<Scheduler> inner_ = make_depth_scheduler();
    std::mutex mutex_;
    std::condition_variable changed_;
    bool free_ = false;
};

void check_names(const Status& status, const std::string& words) {
    INFO(status.to_string());
    CHECK_FALSE(status.ok());
    CHECK(status.message().find(words) != std::string::npos);
}

}  // namespace

TEST_CASE("a factory that returns nothing or throws is refused by name") {
    const TinyModelDir model;
    const auto open = [&](const std::function<void(NodeOptions&)>& change) {
        EngineOptions head = model.alone();
        change(head);
        WorkerOptions worker;
        model.fill(worker);
        worker.join = "tcp://127.0.0.1:9";
        change(worker);
        const Status joined = Worker::open(std::move(worker)).status();
        const Status opened = Engine::open(std::move(head)).status();
        CHECK(opened.code() == joined.code());
        check_names(joined, opened.message());
        return opened;
    };
    const Status no_transport = open([](NodeOptions& node) {
        node.transport = []() -> Result<std::unique_ptr<Transport>> {
            return std::unique_ptr<Transport>();
        };
    });
    CHECK(no_transport.code() == StatusCode::invalid_argument);
    check_names(no_transport, "NodeOptions::transport returned nothing");
    check_names(open([](NodeOptions& node) {
                    node.transport = []() -> Result<std::unique_ptr<Transport>> { fall_over(); };
                }),
                "NodeOptions::transport: it threw the host fell over");
    check_names(open([](NodeOptions& node) { node.transmit = [] { return nullptr; }; }),
                "NodeOptions::transmit returned nothing");
    check_names(open([](NodeOptions& node) {
                    node.transmit = []() -> std::unique_ptr<TransmitPolicy> { throw 7; };
                }),
                "NodeOptions::transmit: it threw something unknown");
}

TEST_CASE("a cluster policy or a partitioner that throws becomes the engine's error") {
    const TinyModelDir model;
    const auto wait = [&](std::unique_ptr<Cluster> cluster,
                          std::unique_ptr<Partitioner> partitioner) {
        EngineOptions options = model.alone();
        options.cluster = std::move(cluster);
        options.partitioner = std::move(partitioner);
        auto engine = Engine::open(std::move(options));
        REQUIRE(engine.has_value());
        return (*engine)->wait_ready(kLimitUs);
    };
    using Where = ThrowingCluster::Where;
    for (Where where : {Where::select, Where::fixed_order}) {
        check_names(wait(std::make_unique<ThrowingCluster>(1, where), nullptr),
                    "cluster policy 'throwing': it threw the host fell over");
    }
    for (Where where : {Where::name, Where::missing}) {
        CHECK(wait(std::make_unique<ThrowingCluster>(1, where), nullptr).ok());
    }
    check_names(wait(std::make_unique<ToldCluster>(std::vector<NodeId>{NodeId(7)}), nullptr),
                "cluster policy 'told' selected node 7, which is unknown");
    check_names(
        wait(std::make_unique<ToldCluster>(std::vector<NodeId>{NodeId(0), NodeId(0)}), nullptr),
        "cluster policy 'told' selected node 0, which is there twice");
    check_names(wait(nullptr, std::make_unique<ThrowingPartitioner>()),
                "partitioner 'broken': it threw the host fell over");
}

TEST_CASE("a cluster policy that throws when a node asks refuses that node") {
    const TinyModelDir model;
    EngineOptions head = model.alone();
    head.stages = 2;
    head.cluster = std::make_unique<ThrowingCluster>(2, ThrowingCluster::Where::admit);
    auto engine = Engine::open(std::move(head));
    REQUIRE(engine.has_value());
    WorkerOptions options;
    model.fill(options);
    options.join = (*engine)->address();
    options.join_within_us = kLimitUs;
    auto worker = Worker::open(std::move(options));
    REQUIRE(worker.has_value());
    check_names((*worker)->wait(kLimitUs), "cluster policy 'throwing': it threw");
    CHECK((*engine)->cluster().missing.find("1 of 2 nodes") != std::string::npos);
}

TEST_CASE("transmit policies that throw cost their plans, and nothing else") {
    const TinyModelDir model;
    WaitedLines log;
    int made = 0;
    LocalClusterOptions options;
    options.model_dir = model.dir.string();
    options.nodes = 2;
    options.each = [&](NodeOptions& node) {
        node.log = &log;
        if (node.name != "head") return;
        node.transmit = [&made]() -> std::unique_ptr<TransmitPolicy> {
            if (made++ > 0) return nullptr;
            return std::make_unique<ThrowingTransmit>();
        };
    };
    LocalCluster cluster(options);
    Requests requests(cluster.engine());
    CHECK(requests.run(request_of(10)).tokens.size() == 10);
    CHECK(log.has("transmit policy 'broken' of a link"));
}

TEST_CASE("a callback that throws ends its own request as cancelled, and no other") {
    const TinyModelDir model;
    auto engine = Engine::open(model.slow());
    REQUIRE(engine.has_value());
    REQUIRE((*engine)->wait_ready(kLimitUs).ok());
    Requests requests(**engine);
    int thrown = 0;
    const RequestId id = requests.submit(request_of(400), [&](const RequestEvent& event) {
        if (event.finish_reason == FinishReason::none && thrown++ == 0) fall_over();
    });
    const RequestId other = requests.submit(request_of(10));
    const Completion kept = requests.wait(other).front();
    CHECK(kept.reason == FinishReason::length);
    CHECK(kept.tokens.size() == 10);
    const Completion ended = requests.wait(id).front();
    INFO(ended.status.to_string());
    CHECK(ended.reason == FinishReason::cancelled);
    CHECK(ended.status.code() == StatusCode::cancelled);
    check_names(ended.status, "it threw the host fell over");
}

TEST_CASE("an exception on the loop ends the engine with a status, and never the process") {
    const TinyModelDir model;
    std::atomic<bool> throws{false};
    EngineOptions options = model.slow();
    options.transport = throwing_transport(throws);
    auto opened = Engine::open(std::move(options));
    REQUIRE(opened.has_value());
    Engine& engine = **opened;
    REQUIRE(engine.wait_ready(kLimitUs).ok());
    Requests requests(engine);
    const RequestId id = requests.submit(request_of(500));
    throws = true;
    const Completion ended = requests.wait(id).front();
    CHECK(ended.reason == FinishReason::error);
    check_names(ended.status, "it threw the host fell over");
    check_names(engine.wait_ready(kLimitUs), "it threw the host fell over");
    check_names(engine.submit(request_of(1), [](const auto&) {}).status(), "the host fell over");
    CHECK(engine.cluster().state == EngineState::closed);
    CHECK(engine.metrics().requests_submitted == 0);
    engine.cancel(id);
    CHECK(engine.close().ok());
}

TEST_CASE("an exception on the loop ends a worker with a status") {
    const TinyModelDir model;
    std::atomic<bool> throws{false};
    WorkerOptions options;
    model.fill(options);
    options.join = "tcp://127.0.0.1:9";
    options.transport = throwing_transport(throws);
    auto worker = Worker::open(std::move(options));
    REQUIRE(worker.has_value());
    throws = true;
    check_names((*worker)->wait(kLimitUs), "it threw the host fell over");
    CHECK((*worker)->view().stages.empty());
    (*worker)->close();
}

TEST_CASE("a scheduler that does not return is named in the log while it plans") {
    const TinyModelDir model;
    WaitedLines log;
    auto scheduler = std::make_unique<StuckScheduler>();
    StuckScheduler& stuck = *scheduler;
    EngineOptions options = model.alone();
    options.scheduler = std::move(scheduler);
    options.log = &log;
    auto engine = Engine::open(std::move(options));
    REQUIRE(engine.has_value());
    REQUIRE((*engine)->wait_ready(kLimitUs).ok());
    Requests requests(**engine);
    const RequestId id = requests.submit(request_of(5));
    CHECK(log.wait_for("scheduler 'stuck' was asked"));
    stuck.let_go();
    CHECK(requests.wait(id).front().tokens.size() == 5);
    CHECK(log.wait_for("scheduler 'stuck' took"));
}
