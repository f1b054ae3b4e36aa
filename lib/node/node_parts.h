#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <molink/options.h>
#include <molink/status.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/resources.h"
#include "channel/channel_hub.h"
#include "node/node_identity.h"
#include "stage/stage_executor.h"

namespace molink {

/// What must be left before a node starts. See check_resources().
inline constexpr NeededResources kNodeResources{limits::kNodeDescriptors,
                                                limits::kNodeAddressBytes};

/// The parts that a head and a worker have in common.
struct NodeParts {
    const Clock* clock = nullptr;
    Log log;
    std::optional<KeyPair> keys;
    TransmitPolicyFactory transmit;  ///< checked; empty: the default
    std::unique_ptr<Transport> transport;
    std::string address;    ///< listening here, port filled in
    std::string advertise;  ///< what others dial
};

/// Reads the keys, makes the transport and listens. Errors: those of open_node_keys and of
/// Transport::listen; those of make_foreign, which name the factory of `options`.
Result<NodeParts> open_node_parts(const NodeOptions& options);

/// Makes the hub over these parts.
std::unique_ptr<ChannelHub> make_node_hub(const NodeParts& parts, HubSink& sink);

/// Returns a function that wakes the loop, for any thread. What the transport throws there is
/// dropped: the loop looks by itself every now and then, and hears of the same trouble.
std::function<void()> make_waker(const NodeParts& parts);

/// Logs what the files of the model say twice with different values.
void log_warnings(const NodeIdentity& identity, const Log& log);

using StageExecutors = std::vector<std::unique_ptr<StageExecutor>>;

/// Makes the stage executors of this node, one for each device. They wake the transport when they
/// have an event.
Result<StageExecutors> make_node_executors(const NodeOptions& options, const NodeIdentity& identity,
                                           const NodeParts& parts);
/// The same executors, for those who use them.
std::vector<StageExecutor*> pointers(const StageExecutors& executors);

/// The identity that this node proves to others.
PeerIdentity self_identity(const NodeParts& parts);

}  // namespace molink
