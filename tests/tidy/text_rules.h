#pragma once

#include "source_text.h"

// Rules about single files. Each appends the breaches that it finds.
namespace molink::tidy {

/// Lines of at most 100 columns, files of at most 600 lines (public headers 250), functions of at
/// most 70.
void check_lengths(const SourceFile& file, Violations& out);
/// Only ASCII, no tabs, no trailing spaces.
void check_characters(const SourceFile& file, Violations& out);
/// Headers have #pragma once. A .cpp file opens with a comment of 3 to 10 lines (in tests and
/// examples 1 to 10).
void check_opening(const SourceFile& file, Violations& out);
/// No marks of unfinished work, and no code in comments.
void check_leftovers(const SourceFile& file, Violations& out);
/// In lib/ and include/: no printing, exiting, clocks or randomness, except in a table of places.
void check_bans(const SourceFile& file, Violations& out);

}  // namespace molink::tidy
