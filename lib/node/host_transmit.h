#pragma once

#include <molink/status.h>

#include "base/log.h"
#include "channel/channel_hub.h"

namespace molink {

/// Wraps the factory NodeOptions::transmit and the policies that it makes, so that neither ends the
/// node. It is called once to see whether it works; the first link gets what it then made. Later a
/// link whose policy cannot be made gets the fair policy. A policy that throws has its plan
/// replaced as a wrong one is. Both are logged. An empty factory stays empty. Errors: those of
/// make_foreign.
Result<TransmitPolicyFactory> check_transmit(const TransmitPolicyFactory& factory, const Log& log);

}  // namespace molink
