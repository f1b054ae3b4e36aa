#pragma once

#include <string>
#include <string_view>

#include <molink/status.h>

namespace molink {

/// Rewrites a pattern of a tokenizer file, written for Oniguruma (which the files' own reader
/// uses), into one that means the same to PCRE2 with UTF, UCP and MULTILINE set. What differs
/// between the two is written out: white space without U+180E, word characters, word boundaries,
/// hexadecimal \h, counted repeats, flags in the middle of a group, scripts, and general categories
/// together with the code points of Unicode 15 and 16. unimplemented: a construct without such a
/// counterpart (named in the message, with its offset): back references, calls, POSIX brackets,
/// intersections and complements inside classes. Letters of full case folding (the sharp s for
/// "ss") are not matched in caseless groups. Syntax errors are left for PCRE2 to find.
Result<std::string> translate_regex(std::string_view pattern);

}  // namespace molink
