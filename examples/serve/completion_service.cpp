// Requests for completions on their way through the pools. What waits is bounded, so that a flood
// of requests takes neither memory nor all connections. A request counts as under way until its job
// has released its place, which is what a server that shuts down waits for.
#include "serve/completion_service.h"

#include <chrono>
#include <random>
#include <utility>

#include <fmt/format.h>
#include <boost/asio/post.hpp>

#include "serve/completion_job.h"

namespace molink::examples {
namespace {

/// Bodies above this size are parsed and turned into tokens one after the other.
constexpr std::size_t kLargeBodyBytes = 64u << 10;
/// Most requests that wait for a thread.
constexpr int kMostQueued = 256;

std::string random_hex() {
    std::random_device device;
    return fmt::format("{:08x}{:08x}", device(), device());
}

void refuse(HttpExchange& exchange, StatusCode code, const char* message) {
    exchange.reply(error_reply(to_api_error(Status(code, message))));
}

}  // namespace

ApiError unknown_model(const std::string& name, const std::string& served) {
    ApiError error;
    error.status = 404;
    error.message = fmt::format("the model '{}' does not exist; '{}' does", name, served);
    error.param = "model";
    error.code = "model_not_found";
    return error;
}

CompletionService::CompletionService(const CompletionServiceOptions& options)
    : options_(options),
      instance_(random_hex()),
      answers_(static_cast<std::size_t>(options.threads)) {}

/// Counts a request as under way until the place is released.
std::shared_ptr<void> CompletionService::take_place() {
    const std::lock_guard lock(mutex_);
    ++under_way_;
    return std::shared_ptr<void>(nullptr, [this](void*) {
        const std::lock_guard released(mutex_);
        --under_way_;
        idle_.notify_all();
    });
}

void CompletionService::handle(Engine& engine, std::shared_ptr<HttpExchange> exchange) {
    if (queued_.fetch_add(1) >= kMostQueued) {
        --queued_;
        return refuse(*exchange, StatusCode::unavailable, "too many requests wait; try later");
    }
    const bool large = exchange->request().body.size() > kLargeBodyBytes;
    boost::asio::post(large ? large_bodies_ : answers_, [this, &engine, place = take_place(),
                                                         waiting = std::move(exchange)] {
        --queued_;
        if (stopping_) {
            return refuse(*waiting, StatusCode::unavailable, "the server is shutting down");
        }
        try {
            begin(engine, waiting, place);
        } catch (const std::exception&) {
            refuse(*waiting, StatusCode::internal, "there is not enough memory for the request");
        }
    });
}

std::optional<ApiError> CompletionService::check(const CompletionRequest& request) const {
    if (request.model != options_.model_name) {
        return unknown_model(request.model, options_.model_name);
    }
    std::int64_t completions = 0;
    for (const GenerateRequest& prompt : request.prompts) completions += prompt.n;
    if (completions <= options_.most_completions) return std::nullopt;
    ApiError error;
    error.message = fmt::format("{} completions were requested; at most {} may run and wait",
                                completions, options_.most_completions);
    error.param = "n";
    return error;
}

void CompletionService::begin(Engine& engine, const std::shared_ptr<HttpExchange>& exchange,
                              const std::shared_ptr<void>& place) {
    CompletionRequest request;
    auto error = parse_completion(exchange->request().body, request);
    if (!error) error = check(request);
    if (error) return exchange->reply(error_reply(*error));
    exchange->drop_body();
    std::make_shared<CompletionJob>(engine, answers_.get_executor(), exchange, std::move(request),
                                    fmt::format("cmpl-{}-{}", instance_, next_id_.fetch_add(1)),
                                    place)
        ->submit();
}

void CompletionService::drain(double limit_s) {
    std::unique_lock lock(mutex_);
    idle_.wait_for(lock, std::chrono::duration<double>(limit_s), [&] { return under_way_ == 0; });
}

void CompletionService::stop() {
    stopping_ = true;
    large_bodies_.join();
    answers_.join();
}

}  // namespace molink::examples
