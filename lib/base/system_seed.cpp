// The only code that asks the system for entropy.
// Callers report or pass on what they draw, so that a run
// can be repeated.
#include <random>

#include "base/random.h"

namespace molink {

std::uint64_t system_seed() {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32) | device();
}

}  // namespace molink
