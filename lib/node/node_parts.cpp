// Putting a node together: transport, listening address, hub, stage
// executor. One place for head and worker, so that both obey the
// same options.
#include "node/node_parts.h"

#include "base/error.h"
#include "base/foreign.h"
#include "node/host_transmit.h"
#include "node/node_identity.h"
#include "node/node_security.h"
#include "security/keys.h"
#include "stage/model_work.h"
#include "stage/thread_executor.h"
#include "stage/timed_work.h"

namespace molink {
namespace {

Result<std::unique_ptr<Transport>> make_node_transport(const NodeOptions& options,
                                                       const NodeParts& parts) {
    if (!options.transport) {
        ZmqTransportOptions zmq;
        zmq.keys = parts.keys;
        return make_zmq_transport(zmq);
    }
    constexpr const char* kTransport = "the factory NodeOptions::transport";
    auto transport = call_foreign(kTransport, options.transport);
    if (transport && *transport == nullptr) {
        return invalid_argument("{} returned nothing", kTransport);
    }
    return transport;
}

}  // namespace

Result<NodeParts> open_node_parts(const NodeOptions& options) {
    NodeParts parts;
    parts.clock = options.clock != nullptr ? options.clock : &steady_clock();
    parts.log = Log(options.log, options.log_level);
    MOLINK_ASSIGN_OR_RETURN(parts.keys, open_node_keys(options.security));
    MOLINK_ASSIGN_OR_RETURN(parts.transmit, check_transmit(options.transmit, parts.log));
    MOLINK_ASSIGN_OR_RETURN(parts.transport, make_node_transport(options, parts));
    MOLINK_ASSIGN_OR_RETURN(parts.address, parts.transport->listen(options.listen));
    parts.advertise = options.advertise.empty() ? parts.address : options.advertise;
    return parts;
}

std::unique_ptr<ChannelHub> make_node_hub(const NodeParts& parts, HubSink& sink) {
    HubOptions hub;
    hub.policy = parts.transmit;
    hub.draw_token = [] {
        std::uint64_t token = 0;
        random_bytes({reinterpret_cast<std::uint8_t*>(&token), sizeof token});
        return token;
    };
    return make_channel_hub(*parts.transport, *parts.clock, sink, hub);
}

std::function<void()> make_waker(const NodeParts& parts) {
    return [transport = parts.transport.get()] {
        const Status woken = call_foreign("wake the loop", [&]() -> Status {
            transport->wake();
            return {};
        });
        static_cast<void>(woken.ok());
    };
}

void log_warnings(const NodeIdentity& identity, const Log& log) {
    if (identity.model == nullptr) return;
    for (const std::string& warning : identity.model->described.warnings) {
        log(LogLevel::warning, "{}", warning);
    }
}

namespace {

Result<std::unique_ptr<StageWork>> make_node_work(const NodeOptions& options,
                                                  const NodeIdentity& identity,
                                                  const std::string& device) {
    if (is_timed(options)) {
        TimedWorkOptions timed;
        MOLINK_ASSIGN_OR_RETURN(timed.backend, open_node_device(options, device, true));
        timed.profile = options.timed;
        timed.shape = {options.block_tokens, identity.spec.hidden};
        timed.spec = stored_spec(identity);
        timed.format = options.weights;
        timed.kv_type = element_type(options.kv_type);
        return make_timed_work(timed);
    }
    ModelWorkOptions model;
    model.model_dir = options.model_dir;
    model.model = identity.model;
    model.weights = options.weights;
    model.kv_type = options.kv_type;
    model.block_tokens = options.block_tokens;
    model.threads = options.threads;
    model.backend = device;
    return make_model_work(model);
}

}  // namespace

Result<StageExecutors> make_node_executors(const NodeOptions& options, const NodeIdentity& identity,
                                           const NodeParts& parts) {
    StageExecutors executors;
    for (const NodeDevice& device : identity.devices) {
        MOLINK_ASSIGN_OR_RETURN(auto work, make_node_work(options, identity, device.name));
        executors.push_back(make_thread_executor(std::move(work), *parts.clock, make_waker(parts)));
    }
    return executors;
}

std::vector<StageExecutor*> pointers(const StageExecutors& executors) {
    std::vector<StageExecutor*> pointers;
    for (const auto& executor : executors) pointers.push_back(executor.get());
    return pointers;
}

PeerIdentity self_identity(const NodeParts& parts) {
    PeerIdentity self;
    if (parts.keys) self.key = parts.keys->public_key;
    return self;
}

}  // namespace molink
