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

/// Returns the messages frozen with protocol 3.0. Every field differs from its default. Never
/// change this function.
std::vector<WireSample> wire_samples_3_0();
/// Returns the messages frozen with protocol 3.1, with every field set. Never change this function.
std::vector<WireSample> wire_samples_3_1();

}  // namespace molink::test
