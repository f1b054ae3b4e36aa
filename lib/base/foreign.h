#pragma once

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <molink/status.h>

#include "base/error.h"
#include "base/resources.h"

namespace molink {

/// Returns what `work` returns: a Status or a Result. `work` runs code of the host, such as a
/// factory, a policy or a callback. What it throws becomes an error that names `what`:
/// resource_exhausted for a shortage, internal for anything else.
template <typename Work>
auto call_foreign(std::string_view what, const Work& work) -> decltype(work()) {
    try {
        return report_shortage(what, work);
    } catch (const std::exception& error) {
        return make_error(StatusCode::internal, "{}: it threw {}", what, error.what());
    } catch (...) {
        return make_error(StatusCode::internal, "{}: it threw something unknown", what);
    }
}

/// Calls a factory of the host that returns a unique_ptr. Errors: those of call_foreign;
/// invalid_argument when it returns nothing. `what` names the factory.
template <typename Factory>
auto make_foreign(std::string_view what, const Factory& factory) -> Result<decltype(factory())> {
    using Made = decltype(factory());
    return call_foreign(what, [&]() -> Result<Made> {
        Made made = factory();
        if (made == nullptr) return invalid_argument("{} returned nothing", what);
        return made;
    });
}

/// Returns the name of a policy of the host, or "?" when it does not tell it.
template <typename Policy>
std::string foreign_name(const Policy& policy) {
    const auto name =
        call_foreign("name", [&]() -> Result<std::string> { return std::string(policy.name()); });
    return name ? *name : "?";
}

}  // namespace molink
