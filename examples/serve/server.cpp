// Routes and connections on cpp-httplib. A content provider answers every completion, even if it is
// not streamed, because only a content provider notices that a client has gone. Requests that the
// engine refuses get an error status before that. A later error is written to the body and closes
// the connection, so that no client mistakes a partial answer for a complete one.
#include "serve/server.h"

#include <chrono>
#include <ctime>
#include <mutex>
#include <random>

#include <fmt/format.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include "serve/completion_stream.h"
#include "serve/prometheus.h"

namespace molink::examples {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxBodyBytes = 16u << 20;
/// A connection that waits for tokens checks at this interval whether its client is still
/// connected.
constexpr int kLookMs = 50;
constexpr const char* kJson = "application/json";

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string random_hex() {
    std::random_device device;
    return fmt::format("{:08x}{:08x}", device(), device());
}

Json node_json(const NodeInfo& node) {
    return {{"id", node.id.value},
            {"name", node.name},
            {"device", node.device},
            {"host_id", node.host_id},
            {"address", node.address},
            {"state", std::string(node_state_name(node.state))},
            {"layers", {node.layers.begin, node.layers.end}},
            {"memory_bytes", node.memory_bytes},
            {"weight_bytes", node.weight_bytes},
            {"loaded_bytes", node.loaded_bytes},
            {"kv_blocks", node.kv_blocks},
            {"decode_layer_us", node.decode_layer_us},
            {"left_out", node.left_out}};
}

const char* state_name(EngineState state) {
    switch (state) {
        case EngineState::waiting: return "waiting";
        case EngineState::loading: return "loading";
        case EngineState::ready: return "ready";
        case EngineState::closed: return "closed";
    }
    return "unknown";
}

}  // namespace

struct Server::Impl {
    Impl(Engine& served, ServerOptions with) : engine(served), options(std::move(with)) {}

    void add_routes();
    void complete(const httplib::Request& request, httplib::Response& response);
    void list_models(httplib::Response& response) const;
    void show_model(const std::string& name, httplib::Response& response) const;
    void show_health(httplib::Response& response) const;
    void show_cluster(httplib::Response& response) const;
    void show_metrics(httplib::Response& response);
    void refuse(const ApiError& error, httplib::Response& response) const;
    ApiError unknown_model(const std::string& name) const;
    void count(const httplib::Request& request, const httplib::Response& response);

    Engine& engine;
    ServerOptions options;
    httplib::Server http;
    std::string instance = random_hex();
    std::atomic<std::uint64_t> next_id{1};
    std::int64_t started = static_cast<std::int64_t>(std::time(nullptr));
    std::mutex mutex;
    HttpCounts counts;  // under mutex
};

void Server::Impl::refuse(const ApiError& error, httplib::Response& response) const {
    response.status = error.status;
    if (error.status == 429 || error.status == 503) response.set_header("Retry-After", "1");
    response.set_content(error_body(error), kJson);
}

ApiError Server::Impl::unknown_model(const std::string& name) const {
    ApiError error;
    error.status = 404;
    error.message =
        fmt::format("the model '{}' does not exist; '{}' does", name, options.model_name);
    error.param = "model";
    error.code = "model_not_found";
    return error;
}

void Server::Impl::complete(const httplib::Request& request, httplib::Response& response) {
    CompletionRequest parsed;
    if (const auto error = parse_completion(request.body, parsed)) return refuse(*error, response);
    if (parsed.model != options.model_name) return refuse(unknown_model(parsed.model), response);
    auto stream = std::make_shared<CompletionStream>(
        engine, std::move(parsed), fmt::format("cmpl-{}-{}", instance, next_id.fetch_add(1)));
    if (const auto error = stream->begin()) return refuse(*error, response);
    const char* type = stream->is_stream() ? "text/event-stream" : kJson;
    if (stream->is_stream()) response.set_header("Cache-Control", "no-cache");
    response.set_chunked_content_provider(type, [stream](std::size_t, httplib::DataSink& sink) {
        std::string out;
        if (!stream->next(kLookMs, out)) return sink.is_writable();
        if (!sink.write(out.data(), out.size())) return false;
        if (stream->failed() && !stream->is_stream()) return false;
        if (stream->finished()) sink.done();
        return true;
    });
}

void Server::Impl::list_models(httplib::Response& response) const {
    const Json model{{"id", options.model_name},
                     {"object", "model"},
                     {"created", started},
                     {"owned_by", "molink"},
                     {"max_model_len", engine.model().context}};
    response.set_content(dump({{"object", "list"}, {"data", Json::array({model})}}), kJson);
}

void Server::Impl::show_model(const std::string& name, httplib::Response& response) const {
    if (name != options.model_name) return refuse(unknown_model(name), response);
    response.set_content(dump({{"id", options.model_name},
                               {"object", "model"},
                               {"created", started},
                               {"owned_by", "molink"}}),
                         kJson);
}

void Server::Impl::show_health(httplib::Response& response) const {
    const ClusterView view = engine.cluster();
    const bool ready = view.state == EngineState::ready;
    response.status = ready ? 200 : 503;
    Json body{{"status", state_name(view.state)}};
    if (!ready) {
        body["missing"] = view.missing;
        if (!view.last_error.empty()) body["last_error"] = view.last_error;
        response.set_header("Retry-After", "1");
    }
    response.set_content(dump(body), kJson);
}

void Server::Impl::show_cluster(httplib::Response& response) const {
    const ClusterView view = engine.cluster();
    Json nodes = Json::array();
    for (const NodeInfo& node : view.nodes) nodes.push_back(node_json(node));
    Json stages = Json::array();
    for (NodeId stage : view.stages) stages.push_back(stage.value);
    response.set_content(dump({{"state", state_name(view.state)},
                               {"missing", view.missing},
                               {"last_error", view.last_error},
                               {"epoch", view.epoch},
                               {"address", engine.address()},
                               {"model", options.model_name},
                               {"nodes", std::move(nodes)},
                               {"stages", std::move(stages)}}),
                         kJson);
}

void Server::Impl::show_metrics(httplib::Response& response) {
    HttpCounts seen;
    {
        const std::lock_guard lock(mutex);
        seen = counts;
    }
    response.set_content(prometheus_text(engine.metrics(), seen),
                         "text/plain; version=0.0.4; charset=utf-8");
}

void Server::Impl::count(const httplib::Request& request, const httplib::Response& response) {
    static constexpr const char* kRoutes[] = {"/v1/models", "/v1/completions", "/health",
                                              "/metrics", "/cluster"};
    std::string route = "other";
    for (const char* known : kRoutes) {
        if (request.path.rfind(known, 0) == 0) route = known;
    }
    const std::lock_guard lock(mutex);
    ++counts[{route, response.status}];
}

void Server::Impl::add_routes() {
    using httplib::Request;
    using httplib::Response;
    http.Post("/v1/completions", [this](const Request& q, Response& r) { complete(q, r); });
    http.Get("/v1/models", [this](const Request&, Response& r) { list_models(r); });
    http.Get(R"(/v1/models/(.+))",
             [this](const Request& q, Response& r) { show_model(q.matches[1], r); });
    http.Get("/health", [this](const Request&, Response& r) { show_health(r); });
    http.Get("/cluster", [this](const Request&, Response& r) { show_cluster(r); });
    http.Get("/metrics", [this](const Request&, Response& r) { show_metrics(r); });
    http.set_error_handler([this](const Request& request, Response& response) {
        if (!response.body.empty()) return;
        const bool known = request.path == "/v1/completions" || request.path == "/v1/models" ||
                           request.path == "/health" || request.path == "/cluster" ||
                           request.path == "/metrics";
        ApiError error;
        error.status = response.status == 404 && known ? 405 : response.status;
        if (error.status == 404) {
            error.message = fmt::format("there is nothing at {}", request.path);
        } else if (error.status == 405) {
            error.message = fmt::format("{} does not accept {}", request.path, request.method);
        } else if (error.status == 413) {
            error.message = fmt::format("the body has more than {} bytes", kMaxBodyBytes);
        } else {
            error.message = fmt::format("HTTP status {}", error.status);
        }
        refuse(error, response);
    });
    http.set_exception_handler([this](const Request&, Response& response, std::exception_ptr) {
        ApiError error;
        error.status = 500;
        error.type = "server_error";
        error.message = "the server could not answer";
        refuse(error, response);
    });
    http.set_logger([this](const Request& q, const Response& r) { count(q, r); });
}

Server::Server(Engine& engine, ServerOptions options)
    : impl_(std::make_unique<Impl>(engine, std::move(options))) {
    const auto threads = static_cast<std::size_t>(impl_->options.threads);
    impl_->http.new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
    impl_->http.set_payload_max_length(kMaxBodyBytes);
    impl_->http.set_keep_alive_timeout(5);
    impl_->http.set_tcp_nodelay(true);
    impl_->add_routes();
}

Server::~Server() = default;

Result<int> Server::bind() {
    const ServerOptions& options = impl_->options;
    if (options.port == 0) {
        const int port = impl_->http.bind_to_any_port(options.host);
        if (port > 0) return port;
    } else if (impl_->http.bind_to_port(options.host, options.port)) {
        return options.port;
    }
    return Status(StatusCode::unavailable, fmt::format("listen for HTTP at {}:{}: the address "
                                                       "is in use or does not belong to this host",
                                                       options.host, options.port));
}

void Server::run() {
    impl_->http.listen_after_bind();
}

void Server::stop() {
    impl_->http.stop();
}

}  // namespace molink::examples
