#pragma once

#include <memory>
#include <thread>

#include <molink/request.h>

#include "base/log.h"
#include "engine/engine_core.h"

namespace molink {

/// The one thread that runs callbacks. Events of a request reach its callback in order, with no
/// lock held; after the last one the callback is destroyed. What a callback throws is logged, and
/// the next event goes to it all the same. The queue is bounded by the tokens that
/// running requests may still produce.
class Delivery final : public RequestEventSink {
public:
    explicit Delivery(Log log);
    /// Delivers what is queued, then stops.
    ~Delivery() override;

    /// Adds a request before its first event. Returns false when more than `limit` completions
    /// would then wait for their last event. Thread: any.
    bool add(RequestId request, std::size_t completions, std::size_t limit,
             RequestCallback callback);
    /// Forgets a request that never got an event.
    void remove(RequestId request);
    /// Thread: any.
    void on_request_event(RequestEvent event) override;
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
