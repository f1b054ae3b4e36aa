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

/// The messages frozen with protocol 1.0, every field away from its default. Never changes.
std::vector<WireSample> wire_samples_1_0();
/// Those of protocol 1.1: sampling options, log-probabilities.
std::vector<WireSample> wire_samples_1_1();
/// Those of protocol 1.2: direct feedback, measured links, decode rows.
std::vector<WireSample> wire_samples_1_2();

}  // namespace molink::test
