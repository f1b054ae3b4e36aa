// What is behind each path. Paths of health and the models are answered on the threads of the
// connections from published copies, so that they answer whatever else goes on. Metrics wait for
// the engine's loop on a thread of their own, and completions have their pools.
#include "serve/server.h"

#include <atomic>
#include <ctime>
#include <mutex>

#include <fmt/format.h>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "http/http_server.h"
#include "serve/completion_service.h"
#include "serve/health_pages.h"
#include "serve/prometheus.h"
#include "serve/status_pages.h"

namespace molink::examples {
namespace {

namespace asio = boost::asio;

/// Most requests for metrics that wait.
constexpr int kMostQueued = 64;

ApiError unavailable(const std::string& message) {
    return to_api_error(Status(StatusCode::unavailable, message));
}

/// Returns what is wrong with the type of a body that must be JSON, or nothing.
std::optional<ApiError> check_type(const HttpRequest& request) {
    ApiError error;
    error.status = 415;
    if (const std::string* coding = request.find("content-encoding")) {
        if (lower_case(*coding) == "identity") return std::nullopt;
        error.message =
            fmt::format("the body has the Content-Encoding '{}'; send it as it is", *coding);
        return error;
    }
    const std::string* type = request.find("content-type");
    if (type == nullptr) return std::nullopt;
    std::string essence = lower_case(type->substr(0, type->find(';')));
    while (!essence.empty() && essence.back() == ' ') essence.pop_back();
    if (essence == "application/json") return std::nullopt;
    error.message = fmt::format(
        "the body has the Content-Type '{}'; it must be application/json (curl: -H "
        "'Content-Type: application/json')",
        *type);
    return error;
}

}  // namespace

struct Server::Impl final : HttpHandler {
    explicit Impl(ServerOptions with);

    std::optional<HttpReply> check(const HttpRequest& head) override;
    void handle(std::shared_ptr<HttpExchange> exchange) override;
    HttpReply refuse(const HttpRequest& request, const HttpFault& fault) override;
    void on_reply(const HttpRequest& request, HttpReply& reply) override;

    std::optional<ApiError> check_request(const HttpRequest& head, Route route) const;
    HttpReply page(const HttpRequest& request, Route route);
    HttpReply metrics_page();
    void queue_metrics(std::shared_ptr<HttpExchange> exchange);

    ServerOptions options;
    Engine* engine = nullptr;
    std::int64_t started = static_cast<std::int64_t>(std::time(nullptr));
    std::atomic<bool> draining{false};
    std::atomic<int> queued{0};

    std::mutex mutex;
    HttpCounts counts;  // under mutex

    HttpServer http;
    CompletionService completions;
    asio::thread_pool pages{1};
};

Server::Impl::Impl(ServerOptions with)
    : options(std::move(with)),
      http(options.limits, *this, options.tls),
      completions({options.model_name, options.most_completions, options.threads}) {}

// ---- Before the body ---------------------------------------------------------------------------

std::optional<ApiError> Server::Impl::check_request(const HttpRequest& head, Route route) const {
    if (auto refused = check_access(options.access, head, route)) return refused;
    if (route != Route::completions || head.method != "POST") return std::nullopt;
    if (draining) return unavailable("the server is shutting down");
    return check_type(head);
}

std::optional<HttpReply> Server::Impl::check(const HttpRequest& head) {
    const Route route = route_of(head.path);
    if (auto refused = refuse_route(head, route)) return refused;
    const auto error = check_request(head, route);
    return error ? std::optional<HttpReply>(error_reply(*error)) : std::nullopt;
}

HttpReply Server::Impl::refuse(const HttpRequest&, const HttpFault& fault) {
    return error_reply(to_api_error(fault));
}

void Server::Impl::on_reply(const HttpRequest& request, HttpReply& reply) {
    add_cors_fields(options.access, request, reply);
    const std::lock_guard lock(mutex);
    ++counts[{route_name(route_of(request.path)), reply.status}];
}

// ---- Pages -------------------------------------------------------------------------------------

HttpReply Server::Impl::metrics_page() {
    HttpCounts seen;
    {
        const std::lock_guard lock(mutex);
        seen = counts;
    }
    HttpReply reply;
    reply.type = "text/plain; version=0.0.4; charset=utf-8";
    reply.body = prometheus_text(engine->metrics(), seen);
    return reply;
}

HttpReply Server::Impl::page(const HttpRequest& request, Route route) {
    switch (route) {
        case Route::live: return live_reply();
        case Route::ready:
        case Route::health:
            return health_page(engine->cluster(), sees_status(options.access, request), draining);
        case Route::cluster:
            return cluster_page(engine->cluster(), options.model_name, engine->address());
        case Route::models: return models_page(engine->model(), options.model_name, started, true);
        case Route::model: {
            const std::string name = request.path.substr(std::string_view("/v1/models/").size());
            if (name == options.model_name) {
                return models_page(engine->model(), name, started, false);
            }
            return error_reply(unknown_model(name, options.model_name));
        }
        default: return metrics_page();
    }
}

void Server::Impl::handle(std::shared_ptr<HttpExchange> exchange) {
    const Route route = route_of(exchange->request().path);
    if (exchange->request().method == "OPTIONS") {
        return exchange->reply(options_reply(route));
    }
    if (route == Route::completions) return completions.handle(*engine, std::move(exchange));
    if (route == Route::metrics) return queue_metrics(std::move(exchange));
    exchange->reply(page(exchange->request(), route));
}

void Server::Impl::queue_metrics(std::shared_ptr<HttpExchange> exchange) {
    if (queued.fetch_add(1) >= kMostQueued) {
        --queued;
        return exchange->reply(error_reply(unavailable("too many requests wait; try later")));
    }
    asio::post(pages, [this, exchange = std::move(exchange)] {
        --queued;
        try {
            exchange->reply(metrics_page());
        } catch (const std::exception&) {
            exchange->reply(error_reply(unavailable("there is not enough memory")));
        }
    });
}

// ---- Life --------------------------------------------------------------------------------------

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Server::~Server() {
    stop(0);
}

Result<TcpAddress> Server::bind() {
    return impl_->http.bind(impl_->options.address);
}

void Server::start(Engine& engine) {
    impl_->engine = &engine;
    impl_->http.start();
}

void Server::drain(double limit_s) {
    impl_->draining = true;
    impl_->completions.drain(limit_s);
}

void Server::stop(double limit_s) {
    impl_->draining = true;
    // Answers that the engine ended are made first, then they are sent.
    impl_->completions.stop();
    impl_->pages.join();
    impl_->http.stop(static_cast<std::int64_t>(limit_s * 1000));
}

}  // namespace molink::examples
