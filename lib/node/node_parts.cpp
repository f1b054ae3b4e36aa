// Putting a node together: transport, listening address, hub, stage
// executor. One place for head and worker, so that both obey the
// same options.
#include "node/node_parts.h"

#include "base/error.h"
#include "base/random.h"
#include "stage/local_executor.h"

namespace molink {

Result<NodeParts> open_node_parts(const NodeOptions& options) {
    NodeParts parts;
    parts.clock = options.clock != nullptr ? options.clock : &steady_clock();
    parts.log = Log(options.log, options.log_level);
    auto transport = options.transport ? options.transport() : make_zmq_transport();
    if (!transport) return transport.error();
    parts.transport = std::move(*transport);
    MOLINK_ASSIGN_OR_RETURN(parts.address, parts.transport->listen(options.listen));
    parts.advertise = options.advertise.empty() ? parts.address : options.advertise;
    return parts;
}

std::unique_ptr<ChannelHub> make_node_hub(const NodeParts& parts, const NodeOptions& options,
                                          HubSink& sink) {
    HubOptions hub;
    hub.policy = options.transmit;
    hub.seed = system_seed();
    return make_channel_hub(*parts.transport, *parts.clock, sink, hub);
}

Result<std::unique_ptr<StageExecutor>> make_node_executor(const NodeOptions& options,
                                                          const NodeParts& parts) {
    LocalExecutorOptions executor;
    executor.model_dir = options.model_dir;
    executor.weights = options.weights;
    executor.kv_type = options.kv_type;
    executor.block_tokens = options.block_tokens;
    executor.threads = options.threads;
    executor.backend = options.backend;
    Transport* transport = parts.transport.get();
    return make_local_executor(executor, *parts.clock, [transport] { transport->wake(); });
}

}  // namespace molink
