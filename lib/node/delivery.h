#pragma once

#include <functional>
#include <memory>
#include <thread>

#include <molink/request.h>

#include "base/log.h"
#include "engine/engine_core.h"

namespace molink {

/// The one thread that runs callbacks. Events of a request reach its callback in order, with no
/// lock held; after the last one the callback is destroyed. A callback that throws is reported, so
/// that its request can be ended; it receives the events that follow all the same. The queue is
/// bounded by the tokens that running requests may still produce.
class Delivery final : public RequestEventSink {
public:
    /// Hears of a request whose callback threw, at most once for each event. Called with a lock
    /// held: it must not call back, and not wait. It is never called after stop().
    using OnThrown = std::function<void(RequestId request, const Status& thrown)>;

    /// While there are no events it looks at `watch`: the loop cannot while the scheduler has it.
    Delivery(Log log, OnThrown on_thrown, std::shared_ptr<PlanWatch> watch);
    /// Delivers what is queued, then stops.
    ~Delivery() override;

    /// Adds a request before its first event. Returns false when more than `limit` completions
    /// would then wait for their last event. Thread: any.
    bool add(RequestId request, std::size_t completions, std::size_t limit,
             RequestCallback callback);
    /// Forgets a request that never got an event. Returns false when it has had its last one.
    bool remove(RequestId request);
    /// Thread: any.
    void on_request_event(RequestEvent event) override;
    /// Ends every request with a last event that has this error. Thread: any.
    void end_all(const Status& reason);
    bool on_delivery_thread() const;
    /// Delivers what is queued and joins the thread. On the delivery thread itself it only asks for
    /// the end.
    void stop();

private:
    struct State;
    static void run(const std::shared_ptr<State>& state);

    std::shared_ptr<State> state_;
    std::thread thread_;
};

}  // namespace molink
