// Submits and cancels requests. The engine sends exactly one last event for an accepted request and
// none for a refused one. The finalizer is called after that last event. What a callback throws
// against its contract goes to the engine, which cancels the request.
#include <exception>
#include <utility>

#include "event.h"
#include "guard.h"
#include "handles.h"
#include "options.h"
#include "queue.h"

namespace molink::capi {
namespace {

struct Subscriber {
    molink_event_fn callback = nullptr;
    void* user_data = nullptr;
    molink_finalizer finalizer = nullptr;
    CallbackThreads* threads = nullptr;  ///< belongs to the engine, which outlives its callbacks

    void deliver(const RequestEvent& event) const {
        std::exception_ptr thrown;  // by a callback in C++, which breaks its contract
        const auto run = [&](const auto& call) {
            try {
                const CallbackThreads::Scope scope(*threads);
                call();
            } catch (...) {
                thrown = std::current_exception();
            }
        };
        run([&] {
            const Event owned(event, user_data);
            callback(user_data, &owned);
        });
        if (event.last && finalizer != nullptr) run([&] { finalizer(user_data); });
        if (thrown) std::rethrow_exception(thrown);
    }
};

Status submit(molink_engine& engine, const molink_request* request, RequestCallback callback,
              std::uint64_t* out_request) {
    GenerateRequest generate;
    if (auto status = read_request(request, generate); !status.ok()) return status;
    const auto id = engine.engine->submit(std::move(generate), std::move(callback));
    if (!id) return id.error();
    if (out_request != nullptr) *out_request = id->value;
    return {};
}

}  // namespace
}  // namespace molink::capi

using namespace molink::capi;
using molink::RequestEvent;
using molink::Status;

extern "C" {

molink_error* molink_engine_submit(molink_engine* engine, const molink_request* request,
                                   molink_event_fn callback, void* user_data,
                                   molink_finalizer finalizer, uint64_t* out_request) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_engine_submit", engine);
        MOLINK_CAPI_NOT_NULL("molink_engine_submit", callback);
        const Subscriber subscriber{callback, user_data, finalizer, &engine->callbacks};
        return submit(
            *engine, request,
            [subscriber](const RequestEvent& event) { subscriber.deliver(event); }, out_request);
    });
}

molink_error* molink_engine_submit_to_queue(molink_engine* engine, const molink_request* request,
                                            molink_queue* queue, void* user_data,
                                            uint64_t* out_request) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_engine_submit_to_queue", engine);
        MOLINK_CAPI_USABLE("molink_engine_submit_to_queue", queue);
        return submit(
            *engine, request,
            [events = queue->events, user_data](const RequestEvent& event) {
                events->push(event, user_data);
            },
            out_request);
    });
}

molink_error* molink_engine_cancel(molink_engine* engine, uint64_t request) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_engine_cancel", engine);
        engine->engine->cancel(molink::RequestId(request));
        return {};
    });
}

}  // extern "C"
