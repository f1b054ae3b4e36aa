#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include <molink.h>
#include <molink/status.h>

struct molink_error {
    std::int32_t code;
    std::string message;
};

namespace molink::capi {

/// Converts a status; ok becomes nullptr. If there is no memory for a message, returns
/// out_of_memory(), which is one constant error.
molink_error* to_error(const Status& status) noexcept;
molink_error* out_of_memory() noexcept;

/// Runs the body of an entry point, a callable that returns Status. Turns its status and its
/// exceptions into an error. Every entry point that can fail is one call of this function.
template <typename Body>
molink_error* guarded(Body&& body) noexcept {
    try {
        return to_error(std::forward<Body>(body)());
    } catch (const std::bad_alloc&) {
        return out_of_memory();
    } catch (const std::exception& error) {
        try {
            return to_error(Status(StatusCode::internal, error.what()));
        } catch (...) {
            return out_of_memory();
        }
    } catch (...) {
        return out_of_memory();
    }
}

/// Makes an error such as "molink_queue_next: queue is NULL".
inline Status null_argument(const char* function, const char* argument) {
    return Status(StatusCode::invalid_argument,
                  std::string(function) + ": " + argument + " is NULL");
}

}  // namespace molink::capi

/// Returns an error from a guarded body when the handle is NULL, or was made by the parent of this
/// process: its locks may then be held for ever. Nothing else of the handle may be used before.
#define MOLINK_CAPI_USABLE(function, handle)                                    \
    do {                                                                        \
        MOLINK_CAPI_NOT_NULL(function, handle);                                 \
        const ::molink::Status molink_usable_ = (handle)->owner.check();        \
        if (!molink_usable_.ok()) return molink_usable_.with_context(function); \
    } while (false)

/// Returns an error from a guarded body when an argument is NULL.
#define MOLINK_CAPI_NOT_NULL(function, argument)                                              \
    do {                                                                                      \
        if ((argument) == nullptr) return ::molink::capi::null_argument(function, #argument); \
    } while (false)
