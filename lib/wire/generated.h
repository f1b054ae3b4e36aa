#pragma once

// Includes the generated header with warnings off, because its code cannot be changed.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include "wire/molink_generated.h"
#pragma GCC diagnostic pop
