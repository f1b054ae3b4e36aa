#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <molink/export.h>

namespace molink {

/// Why an operation failed. Values are stable: they cross the wire and the C ABI.
enum class StatusCode : std::int32_t {
    ok = 0,
    invalid_argument = 1,     ///< the caller passed something that can never work
    not_found = 2,            ///< a file, tensor, node or request that does not exist
    failed_precondition = 3,  ///< wrong state for the call (not loaded yet, already closed)
    resource_exhausted = 4,   ///< memory, KV blocks or a queue limit
    unavailable = 5,          ///< a node or address cannot be reached
    deadline_exceeded = 6,    ///< the time-out of a wait passed
    cancelled = 7,            ///< ended by the caller or by a shutdown
    data_loss = 8,            ///< bytes that fail verification
    unimplemented = 9,        ///< valid but not supported
    internal = 10,            ///< a defect of this library
};

/// Returns the name of a code in snake_case. Static storage.
MOLINK_EXPORT std::string_view status_code_name(StatusCode code);

/// Outcome of an operation: ok, or a code and a message. The message says what was attempted, on
/// what, and with which numbers. Value type; thread-compatible.
class [[nodiscard]] MOLINK_EXPORT Status {
public:
    Status() = default;
    Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

    bool ok() const { return code_ == StatusCode::ok; }
    StatusCode code() const { return code_; }
    const std::string& message() const { return message_; }
    /// Returns "ok", or code and message, such as "not_found: no tensor 'x'".
    std::string to_string() const;
    /// Returns the status with `context + ": "` before its message. ok stays ok.
    Status with_context(std::string_view context) const;

private:
    StatusCode code_ = StatusCode::ok;
    std::string message_;
};

/// A value, or the Status that explains why there is none; similar to std::expected<T, Status>.
/// value() must not be called on an error: it throws std::bad_variant_access.
template <typename T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {}

    bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }
    T& value() & { return std::get<0>(state_); }
    const T& value() const& { return std::get<0>(state_); }
    T&& value() && { return std::get<0>(std::move(state_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    const Status& error() const { return std::get<1>(state_); }
    /// Returns ok or the error.
    Status status() const { return has_value() ? Status() : error(); }

private:
    std::variant<T, Status> state_;
};

}  // namespace molink
