// The only file that knows the Catch2 major version.
#pragma once

#include <catch2/catch.hpp>
