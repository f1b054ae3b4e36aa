#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace molink {

/// Returns the code points that Unicode 15.0 to 16.0 added to a general category (such as "L" or
/// "Nd"), as ranges for a PCRE2 character class: "\x{1C89}-\x{1C8A}...". Empty if `category` is not
/// a category.
std::string supplement_ranges(std::string_view category);

/// Returns whether Unicode 15.0 to 16.0 added `code_point` to `category`.
bool supplement_holds(std::uint32_t code_point, std::string_view category);

/// Returns the same ranges for a script. Only Han occurs in patterns in use.
std::string_view supplement_script_ranges(std::string_view script);

/// Returns whether the normalisation that models are trained with (Unicode 9) keeps `code_point` as
/// unassigned, although newer tables decompose, reorder or compose it.
bool is_newer_than_normalization(std::uint32_t code_point);

}  // namespace molink
