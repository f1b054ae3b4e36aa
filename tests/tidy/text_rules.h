#pragma once

#include "source_text.h"

// Rules that look at one file. Each appends what it finds.
namespace molink::tidy {

/// Lines of at most 100 columns, files of at most 600 lines (public headers 250), functions of at
/// most 70.
void check_lengths(const SourceFile& file, Violations& out);
/// Only ASCII, no tabs, no trailing blanks.
void check_characters(const SourceFile& file, Violations& out);
/// Headers start with #pragma once; .cpp files with a comment of 3..10 lines (in tests 1..10).
void check_opening(const SourceFile& file, Violations& out);
/// No marks of unfinished work and no code behind comment signs.
void check_leftovers(const SourceFile& file, Violations& out);
/// In lib/ and include/: no printing, exiting, stray clocks or randomness; exceptions are a table.
void check_bans(const SourceFile& file, Violations& out);

}  // namespace molink::tidy
