#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace molink {

/// Code points that Unicode 15.0 to 16.0 added to a general category ("L", "Nd", ...), as ranges
/// for the inside of a PCRE2 character class: "\x{1C89}-\x{1C8A}...". Empty for what is no
/// category.
std::string supplement_ranges(std::string_view category);

/// Whether Unicode 15.0 to 16.0 added `code_point` to `category`.
bool supplement_holds(std::uint32_t code_point, std::string_view category);

/// supplement_ranges() for a script; only Han has patterns in use that ask for it.
std::string_view supplement_script_ranges(std::string_view script);

/// Whether the normalisation that models are trained with (Unicode 9) leaves `code_point` alone, as
/// if it were not assigned, although newer tables decompose, reorder or compose it.
bool is_newer_than_normalization(std::uint32_t code_point);

}  // namespace molink
