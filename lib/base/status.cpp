// Text of Status values and names of small public enums. They are in one file,
// because every message of the library is made of them.
// Relies only on the public headers.
#include <molink/status.h>

#include <molink/clock.h>
#include <molink/log.h>
#include <molink/types.h>

namespace molink {

Clock::~Clock() = default;
LogSink::~LogSink() = default;

std::string_view status_code_name(StatusCode code) {
    switch (code) {
        case StatusCode::ok: return "ok";
        case StatusCode::invalid_argument: return "invalid_argument";
        case StatusCode::not_found: return "not_found";
        case StatusCode::failed_precondition: return "failed_precondition";
        case StatusCode::resource_exhausted: return "resource_exhausted";
        case StatusCode::unavailable: return "unavailable";
        case StatusCode::deadline_exceeded: return "deadline_exceeded";
        case StatusCode::cancelled: return "cancelled";
        case StatusCode::data_loss: return "data_loss";
        case StatusCode::unimplemented: return "unimplemented";
        case StatusCode::internal: return "internal";
    }
    return "unknown";
}

std::string Status::to_string() const {
    if (ok()) return "ok";
    return std::string(status_code_name(code_)) + ": " + message_;
}

Status Status::with_context(std::string_view context) const {
    if (ok()) return *this;
    return Status(code_, std::string(context) + ": " + message_);
}

std::string_view data_type_name(DataType type) {
    switch (type) {
        case DataType::f32: return "f32";
        case DataType::f16: return "f16";
        case DataType::bf16: return "bf16";
        case DataType::q8_0: return "q8_0";
        case DataType::i32: return "i32";
        case DataType::int8: return "int8";
    }
    return "unknown";
}

std::string_view lane_name(Lane lane) {
    switch (lane) {
        case Lane::control: return "control";
        case Lane::token: return "token";
        case Lane::decode: return "decode";
        case Lane::prefill: return "prefill";
        case Lane::bulk: return "bulk";
    }
    return "unknown";
}

}  // namespace molink
