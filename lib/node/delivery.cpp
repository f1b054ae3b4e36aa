// Callbacks run here and nowhere else, so that a slow or re-entrant callback can never stall the
// loop or deadlock with it. The state is shared with the thread because an engine may be destroyed
// from inside a callback; the thread then ends by itself.
#include "node/delivery.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/foreign.h"
#include "base/policy_limits.h"
#include "base/thread_start.h"
#include "base/timeout.h"

namespace molink {

struct Delivery::State {
    std::mutex mutex;
    std::condition_variable signal;
    std::deque<RequestEvent> events;
    struct Waiting {
        std::shared_ptr<RequestCallback> callback;
        std::size_t completions = 0;
    };
    std::unordered_map<RequestId, Waiting> callbacks;
    std::size_t completions = 0;  // of all requests whose last event was not delivered yet
    bool stopping = false;
    OnThrown on_thrown;  // under mutex; empty after stop()
    std::shared_ptr<PlanWatch> watch;
    Log log;
};

Delivery::Delivery(Log log, OnThrown on_thrown, std::shared_ptr<PlanWatch> watch)
    : state_(std::make_shared<State>()) {
    state_->log = log;
    state_->watch = std::move(watch);
    state_->on_thrown = std::move(on_thrown);
    thread_ = std::thread([state = state_] { run(state); });
}

Delivery::~Delivery() {
    stop();
}

void Delivery::stop() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->stopping = true;
        state_->on_thrown = nullptr;
    }
    state_->signal.notify_all();
    if (!thread_.joinable()) return;
    if (on_delivery_thread()) {
        thread_.detach();
    } else {
        thread_.join();
    }
}

bool Delivery::on_delivery_thread() const {
    return thread_.get_id() == std::this_thread::get_id();
}

bool Delivery::add(RequestId request, std::size_t completions, std::size_t limit,
                   RequestCallback callback) {
    const std::lock_guard lock(state_->mutex);
    if (state_->completions + completions > limit) return false;
    state_->completions += completions;
    state_->callbacks[request] = {std::make_shared<RequestCallback>(std::move(callback)),
                                  completions};
    return true;
}

bool Delivery::remove(RequestId request) {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->callbacks.find(request);
    if (found == state_->callbacks.end()) return false;
    state_->completions -= found->second.completions;
    state_->callbacks.erase(found);
    return true;
}

void Delivery::on_request_event(RequestEvent event) {
    {
        const std::lock_guard lock(state_->mutex);
        state_->events.push_back(std::move(event));
    }
    state_->signal.notify_one();
}

void Delivery::end_all(const Status& reason) {
    {
        const std::lock_guard lock(state_->mutex);
        for (const auto& [request, waiting] : state_->callbacks) {
            RequestEvent event;
            event.request = request;
            event.finish_reason = FinishReason::error;
            event.last = true;
            event.status = reason;
            state_->events.push_back(std::move(event));
        }
    }
    state_->signal.notify_one();
}

void Delivery::run(const std::shared_ptr<State>& state) {
    begin_thread("molink-delivery");
    std::unique_lock lock(state->mutex);
    while (true) {
        const auto busy = [&] { return state->stopping || !state->events.empty(); };
        while (!wait_until(state->signal, lock, limits::kSlowPlanUs, busy)) {
            lock.unlock();
            state->watch->look();
            lock.lock();
        }
        if (state->events.empty()) return;
        const RequestEvent event = std::move(state->events.front());
        state->events.pop_front();
        const auto found = state->callbacks.find(event.request);
        if (found == state->callbacks.end()) continue;
        std::shared_ptr<RequestCallback> callback = found->second.callback;
        if (event.last) {
            state->completions -= found->second.completions;
            state->callbacks.erase(found);
        }
        lock.unlock();
        // A callback belongs to the host. What it throws must not end the thread that all requests
        // share.
        const Status called = call_foreign(
            fmt::format("the callback of request {}", event.request.value), [&]() -> Status {
                (*callback)(event);
                return {};
            });
        callback.reset();
        if (!called.ok()) state->log(LogLevel::error, "{}", called.message());
        lock.lock();
        if (!called.ok() && state->on_thrown) state->on_thrown(event.request, called);
    }
}

}  // namespace molink
