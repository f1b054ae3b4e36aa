#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include <molink.h>
#include <molink/owner_process.h>

#include "event.h"

namespace molink::capi {

/// Events that wait to be fetched. The handle and the requests that write to it share the queue,
/// because either may end first.
class EventQueue {
public:
    void push(const RequestEvent& event, void* user_data);
    /// Returns the next event, or nullptr after timeout_us (kWaitForever: waits without limit).
    std::unique_ptr<Event> next(std::int64_t timeout_us);
    /// Drops all events, including later ones.
    void close();

private:
    std::mutex mutex_;
    std::condition_variable signal_;
    std::deque<std::unique_ptr<Event>> events_;  // under mutex_
    bool closed_ = false;                        // under mutex_
};

}  // namespace molink::capi

struct molink_queue {
    const molink::OwnerProcess owner{"the queue"};
    std::shared_ptr<molink::capi::EventQueue> events;
};
