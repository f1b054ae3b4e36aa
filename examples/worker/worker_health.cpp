// Answers from a published copy, so that /livez and /readyz answer whatever the worker does.
#include "worker/worker_health.h"

#include <chrono>
#include <mutex>
#include <utility>

#include "http/http_server.h"
#include "serve/api_error.h"
#include "serve/health_pages.h"
#include "serve/routes.h"
#include "worker/worker_page.h"

namespace molink::examples {
namespace {

using Clock = std::chrono::steady_clock;

/// The worker's loop answers within milliseconds. The system may take seconds under load.
constexpr auto kStalledAfter = std::chrono::seconds(5);

HttpLimits health_limits() {
    HttpLimits limits;
    limits.connections = 64;
    limits.threads = 1;
    return limits;
}

/// The routes of a server that a worker has, too.
Route worker_route(const HttpRequest& request) {
    const Route route = route_of(request.path);
    switch (route) {
        case Route::live:
        case Route::ready:
        case Route::health:
        case Route::any: return route;
        default: return Route::none;
    }
}

}  // namespace

struct WorkerHealth::Impl final : HttpHandler {
    std::optional<HttpReply> check(const HttpRequest& head) override {
        return refuse_route(head, worker_route(head));
    }
    void handle(std::shared_ptr<HttpExchange> exchange) override {
        exchange->reply(page(exchange->request()));
    }
    HttpReply refuse(const HttpRequest&, const HttpFault& fault) override {
        return error_reply(to_api_error(fault));
    }
    void on_reply(const HttpRequest&, HttpReply&) override {}

    HttpReply page(const HttpRequest& request) {
        const Route route = worker_route(request);
        if (request.method == "OPTIONS") return options_reply(route);
        if (route == Route::live) return live_reply();
        const std::lock_guard lock(mutex);
        state.stalled = state.view && Clock::now() - published > kStalledAfter;
        return worker_page(state, route == Route::health && request.from_loopback);
    }

    std::mutex mutex;
    WorkerState state;                 // under mutex
    Clock::time_point published;       // under mutex
    std::unique_ptr<HttpServer> http;  // since start(); without it there are no descriptors
};

WorkerHealth::WorkerHealth() : impl_(std::make_unique<Impl>()) {}

WorkerHealth::~WorkerHealth() = default;

Result<TcpAddress> WorkerHealth::start(const TcpAddress& address) {
    impl_->http = std::make_unique<HttpServer>(health_limits(), *impl_, nullptr);
    auto bound = impl_->http->bind(address);
    if (bound) impl_->http->start();
    return bound;
}

void WorkerHealth::publish(WorkerView view) {
    const std::lock_guard lock(impl_->mutex);
    impl_->state.view = std::move(view);
    impl_->published = Clock::now();
}

}  // namespace molink::examples
