// See local_cluster.h.
#include "support/local_cluster.h"

#include <stdexcept>

namespace molink::test {

LocalCluster::LocalCluster(const LocalClusterOptions& options) {
    const std::shared_ptr<InprocHub> network = make_inproc_hub();
    const auto fill = [&](NodeOptions& node, const std::string& name) {
        node.model_dir = options.model_dir;
        node.name = name;
        node.listen = "inproc://" + name;
        node.threads = 1;
        node.memory_bytes = 64 << 20;
        node.transport = [network, link = options.link]() -> Result<std::unique_ptr<Transport>> {
            auto plain = network->make_transport();
            if (link.bytes_per_s <= 0) return plain;
            return make_shaped_transport(std::move(plain), link, steady_clock());
        };
        if (options.each) options.each(node);
    };
    EngineOptions head;
    fill(head, "head");
    head.stages = options.nodes;
    head.local_stage = options.local_stage;
    if (options.engine) options.engine(head);
    auto engine = Engine::open(std::move(head));
    if (!engine) throw std::runtime_error(engine.error().to_string());
    engine_ = std::move(*engine);
    for (std::int32_t i = options.local_stage ? 1 : 0; i < options.nodes; ++i) {
        WorkerOptions worker;
        fill(worker, "worker" + std::to_string(i));
        worker.join = "inproc://head";
        worker.give_up_after_us = 0;
        auto opened = Worker::open(std::move(worker));
        if (!opened) throw std::runtime_error(opened.error().to_string());
        workers_.push_back(std::move(*opened));
    }
    const Status ready = engine_->wait_ready(60'000'000);
    if (!ready.ok()) throw std::runtime_error(ready.to_string());
}

LocalCluster::~LocalCluster() {
    (void)engine_->close().ok();
    for (const auto& worker : workers_) (void)worker->wait(10'000'000).ok();
}

RequestId Requests::submit(GenerateRequest request,
                           std::function<void(const RequestEvent&)> on_piece) {
    auto state = std::make_shared<State>();
    state->completions.resize(static_cast<std::size_t>(request.n));
    auto id =
        engine_.submit(std::move(request), [this, state, on_piece](const RequestEvent& event) {
            if (on_piece) on_piece(event);
            add_event(*state, event);
        });
    if (!id) throw std::runtime_error(id.error().to_string());
    const std::lock_guard lock(mutex_);
    requests_[*id] = state;
    return *id;
}

void Requests::add_event(State& state, const RequestEvent& event) {
    const std::lock_guard lock(mutex_);
    Completion& completion = state.completions[static_cast<std::size_t>(event.index)];
    completion.tokens.insert(completion.tokens.end(), event.tokens.begin(), event.tokens.end());
    completion.logprobs.insert(completion.logprobs.end(), event.logprobs.begin(),
                               event.logprobs.end());
    completion.text += event.text;
    if (event.finish_reason != FinishReason::none) {
        completion.reason = event.finish_reason;
        completion.status = event.status;
        completion.hashes = event.logit_hashes;
        completion.cached_tokens = event.cached_token_count;
    }
    state.ended = state.ended || event.last;
    changed_.notify_all();
}

std::vector<Completion> Requests::wait(RequestId id) {
    std::unique_lock lock(mutex_);
    const std::shared_ptr<State> state = requests_.at(id);
    changed_.wait(lock, [&] { return state->ended; });
    return state->completions;
}

}  // namespace molink::test
