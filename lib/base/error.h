#pragma once

#include <utility>

#include <fmt/core.h>
#include <fmt/format.h>

#include <molink/status.h>

namespace molink {

/// Builds a Status with a formatted message: make_error(StatusCode::not_found, "open {}: ...",
/// path).
template <typename... Args>
Status make_error(StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
    return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
Status invalid_argument(fmt::format_string<Args...> format, Args&&... args) {
    return Status(StatusCode::invalid_argument, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace molink

#define MOLINK_CONCAT_INNER(a, b) a##b
#define MOLINK_CONCAT(a, b) MOLINK_CONCAT_INNER(a, b)

/// Returns the Status of `expr` from the enclosing function when it is an error.
#define MOLINK_RETURN_IF_ERROR(expr)                     \
    do {                                                 \
        ::molink::Status molink_status_ = (expr);        \
        if (!molink_status_.ok()) return molink_status_; \
    } while (false)

/// Declares or assigns `lhs` from the Result `expr`, or returns its error.
#define MOLINK_ASSIGN_OR_RETURN(lhs, expr) \
    MOLINK_ASSIGN_OR_RETURN_IMPL(MOLINK_CONCAT(molink_result_, __LINE__), lhs, expr)
#define MOLINK_ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
    auto result = (expr);                               \
    if (!result) return result.error();                 \
    lhs = std::move(result).value()
