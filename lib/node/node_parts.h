#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <molink/options.h>
#include <molink/status.h>

#include "base/log.h"
#include "channel/channel_hub.h"
#include "node/node_identity.h"
#include "stage/stage_executor.h"

namespace molink {

/// The parts that a head and a worker have in common.
struct NodeParts {
    const Clock* clock = nullptr;
    Log log;
    std::unique_ptr<Transport> transport;
    std::string address;    ///< listening here, port filled in
    std::string advertise;  ///< what others dial
};

/// Makes the transport and listens. Errors: as Transport::listen.
Result<NodeParts> open_node_parts(const NodeOptions& options);

/// Makes the hub over these parts.
std::unique_ptr<ChannelHub> make_node_hub(const NodeParts& parts, const NodeOptions& options,
                                          HubSink& sink);

/// Makes the stage executor of this node. It wakes the transport when it has an event.
Result<std::unique_ptr<StageExecutor>> make_node_executor(const NodeOptions& options,
                                                          const NodeIdentity& identity,
                                                          const NodeParts& parts);

}  // namespace molink
