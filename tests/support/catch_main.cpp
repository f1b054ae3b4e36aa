// Catch2's main, compiled once for all test programs. Tests leave no manifests in the user's cache
// folder; those that need one set the variable themselves.
#include <cstdlib>

#define CATCH_CONFIG_MAIN
#include "support/catch.h"

namespace {

[[maybe_unused]] const bool no_cache = ::setenv("MOLINK_CACHE_DIR", "", 1) == 0;

}  // namespace
