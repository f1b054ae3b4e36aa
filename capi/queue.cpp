// Event queues, the alternative to event callbacks. Requests push events on the delivery thread of
// their engine, and any thread can fetch them. The caller owns a fetched event, so it may outlive
// the queue, the engine and the request.
#include "queue.h"

#include <chrono>

#include <molink/clock.h>

#include "guard.h"

namespace molink::capi {

void EventQueue::push(const RequestEvent& event, void* user_data) {
    auto owned = std::make_unique<Event>(event, user_data);
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        events_.push_back(std::move(owned));
    }
    signal_.notify_one();
}

std::unique_ptr<Event> EventQueue::next(std::int64_t timeout_us) {
    // A longer wait would overflow the clock's arithmetic.
    constexpr std::int64_t kLongest_us = std::int64_t{1} << 50;
    std::unique_lock lock(mutex_);
    const auto there = [&] { return closed_ || !events_.empty(); };
    if (timeout_us == kWaitForever) {
        signal_.wait(lock, there);
    } else {
        signal_.wait_for(lock, std::chrono::microseconds(std::min(timeout_us, kLongest_us)), there);
    }
    if (events_.empty()) return nullptr;
    std::unique_ptr<Event> event = std::move(events_.front());
    events_.pop_front();
    return event;
}

void EventQueue::close() {
    std::deque<std::unique_ptr<Event>> dropped;
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(events_);
    signal_.notify_all();
}

}  // namespace molink::capi

using namespace molink::capi;
using molink::Status;

extern "C" {

molink_error* molink_queue_create(molink_queue** out_queue) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_queue_create", out_queue);
        auto queue = std::make_unique<molink_queue>();
        queue->events = std::make_shared<EventQueue>();
        *out_queue = queue.release();
        return {};
    });
}

molink_error* molink_queue_next(molink_queue* queue, int64_t timeout_us,
                                const molink_event** out_event) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_queue_next", queue);
        MOLINK_CAPI_NOT_NULL("molink_queue_next", out_event);
        if (auto status = molink::check_timeout(timeout_us); !status.ok()) return status;
        *out_event = queue->events->next(timeout_us).release();
        return {};
    });
}

void molink_event_release(const molink_event* event) {
    delete static_cast<const Event*>(event);
}

void molink_queue_destroy(molink_queue* queue) {
    if (queue == nullptr || !queue->owner.check().ok()) return;
    queue->events->close();
    delete queue;
}

}  // extern "C"
