#pragma once

#include <cstdint>
#include <string>

#include <molink/link.h>

#include "channel_load.h"

namespace molink::bench {

/// Saturates a link with prefill for `span_us`, over ZeroMQ and the relay: real sockets in real
/// time. The relay gives both directions the rate, the delay and the jitter of `link`. Throws
/// std::runtime_error when the sockets cannot be opened.
ChannelFigures run_real(const LinkModel& link, const std::string& policy, std::uint64_t seed,
                        std::int64_t span_us);

}  // namespace molink::bench
