// How a failed check ends: a line on standard error, then abort(), which libFuzzer and ctest see.
#include "fuzz_input.h"

#include <cstdio>
#include <cstdlib>

namespace molink::fuzz {

void fail(const char* what, const char* file, int line) {
    std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    std::abort();
}

}  // namespace molink::fuzz
