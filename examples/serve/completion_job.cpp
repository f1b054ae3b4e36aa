// The way of a completion between HTTP and the engine. No part of the answer is sent before the
// first event, so that a request that the engine refuses late still gets its status. Whatever ends
// the job, the exchange and the place are released, and requests that still run are cancelled.
#include "serve/completion_job.h"

#include <utility>

#include <boost/asio/post.hpp>

namespace molink::examples {

CompletionJob::CompletionJob(Engine& engine, boost::asio::any_io_executor pool,
                             std::shared_ptr<HttpExchange> exchange, CompletionRequest request,
                             std::string id, std::shared_ptr<void> place)
    : engine_(engine),
      pool_(std::move(pool)),
      request_(std::move(request)),
      exchange_(std::move(exchange)),
      place_(std::move(place)),
      answer_(engine, request_, std::move(id)) {}

void CompletionJob::submit() {
    const std::shared_ptr<HttpExchange> exchange = exchange_;
    exchange->on_gone([weak = weak_from_this()] {
        if (const auto job = weak.lock()) job->cancel();
    });
    for (std::size_t i = 0; i < request_.prompts.size(); ++i) {
        GenerateRequest prompt = request_.prompts[i];
        request_.prompts[i].prompt = std::string();  // only its options are needed from here on
        request_.prompts[i].prompt_tokens = std::vector<Token>();
        auto id = engine_.submit(
            std::move(prompt),
            [job = shared_from_this(), i](const RequestEvent& event) { job->deliver(i, event); });
        if (!id) {
            exchange->reply(error_reply(to_api_error(id.error())));
            return cancel();
        }
        bool cancelled = false;
        {
            const std::lock_guard lock(mutex_);
            submitted_.push_back(*id);
            cancelled = is_cancelled_;
        }
        if (cancelled) return engine_.cancel(*id);
    }
    open();
}

/// Runs on the engine's delivery thread.
void CompletionJob::deliver(std::size_t prompt, const RequestEvent& event) {
    {
        const std::lock_guard lock(mutex_);
        if (exchange_ == nullptr) return;
        inbox_.emplace_back(prompt, event);
        if (!is_open_ || is_draining_) return;
        is_draining_ = true;
    }
    boost::asio::post(pool_, [job = shared_from_this()] { job->drain(); });
}

void CompletionJob::open() {
    {
        const std::lock_guard lock(mutex_);
        is_open_ = true;
        if (inbox_.empty()) return;
        is_draining_ = true;
    }
    boost::asio::post(pool_, [job = shared_from_this()] { job->drain(); });
}

void CompletionJob::drain() {
    std::deque<std::pair<std::size_t, RequestEvent>> events;
    {
        const std::lock_guard lock(mutex_);
        events.swap(inbox_);
    }
    try {
        for (auto& [prompt, event] : events) answer_.add(prompt, std::move(event));
        answer();
    } catch (const std::exception&) {
        fail();
    }
    {
        const std::lock_guard lock(mutex_);
        is_draining_ = !inbox_.empty();
        if (!is_draining_) return;
    }
    // Posted, so that jobs take turns.
    boost::asio::post(pool_, [job = shared_from_this()] { job->drain(); });
}

/// Passes on what there is of the answer.
void CompletionJob::answer() {
    std::shared_ptr<HttpExchange> exchange;
    {
        const std::lock_guard lock(mutex_);
        exchange = exchange_;
    }
    if (exchange == nullptr) return;
    std::string output = answer_.take_output();
    if (answer_.error() && !has_started_) {
        exchange->reply(error_reply(*answer_.error()));
    } else if (!request_.stream) {
        if (!answer_.finished()) return;
        exchange->reply({200, "application/json", {}, std::move(output), false});
    } else {
        if (answer_.error()) output += "data: " + error_body(*answer_.error()) + "\n\n";
        if (output.empty()) return;
        if (!std::exchange(has_started_, true)) {
            exchange->start({200, "text/event-stream", {{"Cache-Control", "no-cache"}}, {}, false});
        }
        exchange->write(std::move(output));
        if (answer_.finished()) exchange->finish();
    }
    if (answer_.error()) return cancel();
    if (answer_.finished()) end();
}

/// Ends the job when there is not enough memory for its answer.
void CompletionJob::fail() {
    std::shared_ptr<HttpExchange> exchange;
    {
        const std::lock_guard lock(mutex_);
        exchange = exchange_;
    }
    const Status status(StatusCode::internal, "there is not enough memory for the answer");
    if (exchange) exchange->reply(error_reply(to_api_error(status)));
    cancel();
}

void CompletionJob::end() {
    std::shared_ptr<HttpExchange> exchange;
    std::shared_ptr<void> place;
    const std::lock_guard lock(mutex_);
    exchange.swap(exchange_);
    place.swap(place_);
}

void CompletionJob::cancel() {
    std::vector<RequestId> submitted;
    {
        const std::lock_guard lock(mutex_);
        is_cancelled_ = true;
        submitted.swap(submitted_);
        inbox_.clear();
    }
    for (RequestId id : submitted) engine_.cancel(id);
    end();
}

}  // namespace molink::examples
