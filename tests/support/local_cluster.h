#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <molink/engine.h>
#include <molink/worker.h>

namespace molink::test {

struct LocalClusterOptions {
    std::string model_dir;
    std::int32_t nodes = 1;
    bool local_stage = true;
    LinkModel link;                          ///< shapes what every node sends; all zero: unshaped
    std::function<void(NodeOptions&)> each;  ///< further options of every node
    std::function<void(EngineOptions&)> engine;  ///< further options of the head
};

/// An engine with its workers in this process. The constructor returns when they are ready, or
/// throws std::runtime_error.
class LocalCluster {
public:
    explicit LocalCluster(const LocalClusterOptions& options);
    /// Closes the engine and waits for the workers to end.
    ~LocalCluster();

    Engine& engine() { return *engine_; }

private:
    std::unique_ptr<Engine> engine_;
    std::vector<std::unique_ptr<Worker>> workers_;
};

/// The result of one completion.
struct Completion {
    std::vector<Token> tokens;
    std::string text;
    std::vector<TokenLogprobs> logprobs;
    std::vector<std::uint64_t> hashes;
    FinishReason reason = FinishReason::none;
    Status status;
    std::int32_t cached_tokens = 0;
};

/// Submits requests and waits for them. It must outlive their events. Thread: any.
class Requests {
public:
    explicit Requests(Engine& engine) : engine_(engine) {}

    /// `on_piece` is called for every event, on the delivery thread. Throws std::runtime_error when
    /// the request is refused.
    RequestId submit(GenerateRequest request,
                     std::function<void(const RequestEvent&)> on_piece = {});
    /// Waits until a request has ended. Returns all its completions.
    std::vector<Completion> wait(RequestId id);
    /// Runs a request to its end. Returns its first completion.
    Completion run(GenerateRequest request) { return wait(submit(std::move(request))).front(); }

private:
    struct State {
        std::vector<Completion> completions;
        bool ended = false;
    };
    void add_event(State& state, const RequestEvent& event);

    Engine& engine_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<RequestId, std::shared_ptr<State>> requests_;
};

}  // namespace molink::test
