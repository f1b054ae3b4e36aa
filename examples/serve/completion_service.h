#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <boost/asio/thread_pool.hpp>

#include <molink/engine.h>

#include "http/http_handler.h"
#include "serve/api_error.h"
#include "serve/completion_request.h"

namespace molink::examples {

struct CompletionServiceOptions {
    std::string model_name;
    /// Most completions that the engine runs and lets wait.
    std::int64_t most_completions = 272;
    int threads = 2;  ///< that read requests and make answers
};

/// POST /v1/completions, from the body to the answer, on pools of its own: parsing a body and
/// turning a prompt into tokens take time, and large ones wait for one another. Thread-safe.
class CompletionService {
public:
    explicit CompletionService(const CompletionServiceOptions& options);

    /// Answers a request, whose method and type were checked. `engine` must outlive the service.
    void handle(Engine& engine, std::shared_ptr<HttpExchange> exchange);
    /// Returns when no request is under way any more, or after limit_s.
    void drain(double limit_s);
    /// Refuses what waits, makes the answers to what the engine has ended, and joins the threads.
    void stop();

private:
    std::shared_ptr<void> take_place();
    std::optional<ApiError> check(const CompletionRequest& request) const;
    void begin(Engine& engine, const std::shared_ptr<HttpExchange>& exchange,
               const std::shared_ptr<void>& place);

    CompletionServiceOptions options_;
    std::string instance_;  // part of the ids of answers
    std::atomic<std::uint64_t> next_id_{1};
    std::atomic<bool> stopping_{false};
    std::atomic<int> queued_{0};
    std::mutex mutex_;
    std::condition_variable idle_;
    int under_way_ = 0;  // under mutex_
    boost::asio::thread_pool answers_;
    boost::asio::thread_pool large_bodies_{1};
};

/// Returns the error of a request for a model that is not served.
ApiError unknown_model(const std::string& name, const std::string& served);

}  // namespace molink::examples
