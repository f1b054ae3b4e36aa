#pragma once

// The generated header with our warnings off: its code is not ours to change.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include "wire/molink_generated.h"
#pragma GCC diagnostic pop
