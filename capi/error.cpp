// Errors and versions. The error for lack of memory is a constant, because allocating one could
// fail for the same reason. Releasing it does nothing. Names of codes come from the library, so
// both interfaces use the same ones.
#include "guard.h"

#include <molink/request.h>
#include <molink/version.h>

namespace molink::capi {
namespace {

/// This error is never changed and never freed. Its string is short enough to need no allocation.
molink_error& no_memory() noexcept {
    static molink_error error{MOLINK_RESOURCE_EXHAUSTED, "out of memory"};
    return error;
}

}  // namespace

molink_error* out_of_memory() noexcept {
    return &no_memory();
}

molink_error* to_error(const Status& status) noexcept {
    if (status.ok()) return nullptr;
    try {
        return new molink_error{static_cast<std::int32_t>(status.code()), status.message()};
    } catch (...) {
        return out_of_memory();
    }
}

}  // namespace molink::capi

extern "C" {

const char* molink_version(void) {
    return MOLINK_VERSION;
}

uint32_t molink_abi_version(void) {
    return MOLINK_ABI_VERSION;
}

int32_t molink_error_code(const molink_error* error) {
    return error == nullptr ? MOLINK_OK : error->code;
}

const char* molink_error_message(const molink_error* error) {
    return error == nullptr ? "" : error->message.c_str();
}

void molink_error_release(molink_error* error) {
    if (error != molink::capi::out_of_memory()) delete error;
}

const char* molink_status_name(int32_t code) {
    if (code < MOLINK_OK || code > MOLINK_INTERNAL) return "unknown";
    return molink::status_code_name(static_cast<molink::StatusCode>(code)).data();
}

const char* molink_finish_reason_name(int32_t reason) {
    if (reason < MOLINK_FINISH_NONE || reason > MOLINK_FINISH_ERROR) return "unknown";
    return molink::finish_reason_name(static_cast<molink::FinishReason>(reason)).data();
}

}  // extern "C"
