#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace molink::examples {

/// A value of JSON that is neither a list nor an object. Integers outside std::int64_t are doubles
/// and never equal one.
using JsonScalar = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

}  // namespace molink::examples
