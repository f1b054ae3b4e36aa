// The only place that asks the system for entropy. What is drawn
// here is reported or carried along, so that everything after it can
// be repeated.
#include <random>

#include "base/random.h"

namespace molink {

std::uint64_t system_seed() {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32) | device();
}

}  // namespace molink
