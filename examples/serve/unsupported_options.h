#pragma once

#include <string_view>

#include "serve/json_scalar.h"

namespace molink::examples {

/// An option of other servers that would change the answer and does not exist here. A value that
/// changes nothing is accepted, because some clients send every option.
struct UnsupportedOption {
    std::string_view name;
    /// A further value that changes nothing, besides null, false, "", [] and {}: a number as text,
    /// "true", or words that are separated by '|'. May be empty.
    std::string_view neutral;
};

/// Returns the option of this name, or null for a name that changes nothing or is supported.
const UnsupportedOption* find_unsupported(std::string_view name);

/// Returns whether the value changes nothing.
bool is_neutral(const UnsupportedOption& option, const JsonScalar& value);

}  // namespace molink::examples
