#pragma once

#include <cstdint>
#include <string>

#include <molink/link.h>

#include "channel_load.h"

namespace molink::bench {

/// A link saturated by prefill over ZeroMQ and the relay: real sockets, real time. `jitter_us` on
/// both ways, as the relay has it. Throws std::runtime_error when the sockets cannot be made.
ChannelFigures run_real(const LinkModel& link, const std::string& policy, std::uint64_t seed,
                        std::int64_t span_us);

}  // namespace molink::bench
