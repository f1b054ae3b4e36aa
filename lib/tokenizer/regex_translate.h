#pragma once

#include <string>
#include <string_view>

#include <molink/status.h>

namespace molink {

/// Translates a pattern of a tokenizer file to PCRE2 with UTF, UCP and MULTILINE set. The patterns
/// are written for Oniguruma, which the reference library uses. Differences are written out: white
/// space without U+180E, word characters, word boundaries, hexadecimal \h, counted repeats, flags
/// in the middle of a group, scripts, and general categories with the code points of Unicode 15 and
/// 16. In caseless groups, letters of full case folding (the sharp s for "ss") are not matched.
/// Syntax errors are left to PCRE2. Errors: unimplemented for constructs without an equivalent,
/// with the construct and its offset: back references, calls, POSIX brackets, intersections, and
/// complements inside classes.
Result<std::string> translate_regex(std::string_view pattern);

}  // namespace molink
