#pragma once

#include <string>
#include <vector>

#include "wire/messages.h"

namespace molink::test {

/// A message with fixed content and the name of its file under data/wire/<version>/.
struct WireSample {
    std::string name;
    Message message;
};

/// The messages frozen with protocol 2.0, every field away from its default. Never changes.
std::vector<WireSample> wire_samples_2_0();

}  // namespace molink::test
