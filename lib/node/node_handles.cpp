// What Engine::open and Worker::open return: handles that only the process that opened them can
// use. A child of fork() has a copy of the memory of a node, but neither its threads nor the locks
// that they will never release; so no call of a child goes further than this file.
#include <utility>

#include <molink/owner_process.h>

#include "base/error.h"
#include "node/open_nodes.h"

namespace molink {

Engine::~Engine() = default;
Worker::~Worker() = default;

namespace {

class EngineHandle final : public Engine {
public:
    explicit EngineHandle(std::unique_ptr<Engine> engine)
        : engine_("the engine", std::move(engine)) {}

    Status wait_ready(std::int64_t timeout_us) override {
        return engine_.call([&](Engine& engine) { return engine.wait_ready(timeout_us); });
    }
    Result<RequestId> submit(GenerateRequest request, RequestCallback callback) override {
        return engine_.call(
            [&](Engine& engine) { return engine.submit(std::move(request), std::move(callback)); });
    }
    void cancel(RequestId request) override {
        engine_.call([&](Engine& engine) { engine.cancel(request); });
    }
    Result<std::vector<Token>> tokenize(std::string_view text, bool add_special) const override {
        return engine_.call([&](Engine& engine) { return engine.tokenize(text, add_special); });
    }
    Result<std::string> detokenize(std::span<const Token> tokens) const override {
        return engine_.call([&](Engine& engine) { return engine.detokenize(tokens); });
    }
    std::string address() const override {
        return engine_.call([](Engine& engine) { return engine.address(); });
    }
    const ModelSpec& model() const override {
        static const ModelSpec kNone;
        const ModelSpec* model = engine_.call([](Engine& engine) { return &engine.model(); });
        return model == nullptr ? kNone : *model;
    }
    ClusterView cluster() const override {
        const Status usable = engine_.check();
        if (usable.ok()) return engine_.call([](Engine& engine) { return engine.cluster(); });
        ClusterView none;
        none.state = EngineState::closed;
        none.missing = usable.message();
        return none;
    }
    PartitionReport partition() const override {
        return engine_.call([](Engine& engine) { return engine.partition(); });
    }
    MetricsSnapshot metrics() const override {
        return engine_.call([](Engine& engine) { return engine.metrics(); });
    }
    Status close() override {
        return engine_.call([](Engine& engine) { return engine.close(); });
    }

private:
    ProcessBound<Engine> engine_;
};

class WorkerHandle final : public Worker {
public:
    explicit WorkerHandle(std::unique_ptr<Worker> worker)
        : worker_("the worker", std::move(worker)) {}

    Status wait(std::int64_t timeout_us) override {
        return worker_.call([&](Worker& worker) { return worker.wait(timeout_us); });
    }
    WorkerView view() const override {
        if (worker_.check().ok()) return worker_.call([](Worker& worker) { return worker.view(); });
        WorkerView none;
        none.state = NodeState::lost;
        return none;
    }
    void close() override {
        worker_.call([](Worker& worker) { worker.close(); });
    }

private:
    ProcessBound<Worker> worker_;
};

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options) {
    MOLINK_ASSIGN_OR_RETURN(auto engine, open_engine(std::move(options)));
    return std::unique_ptr<Engine>(std::make_unique<EngineHandle>(std::move(engine)));
}

Result<std::unique_ptr<Worker>> Worker::open(WorkerOptions options) {
    MOLINK_ASSIGN_OR_RETURN(auto worker, open_worker(std::move(options)));
    return std::unique_ptr<Worker>(std::make_unique<WorkerHandle>(std::move(worker)));
}

}  // namespace molink
