#pragma once

#include <memory>

#include <molink/address.h>
#include <molink/status.h>
#include <molink/worker.h>

namespace molink::examples {

/// The HTTP server of a worker: /livez, /readyz and /health. Clients on this host also see the
/// details of /health.
class WorkerHealth {
public:
    WorkerHealth();
    ~WorkerHealth();

    /// Binds the address and answers. Returns the address with the real port. Errors: those of
    /// HttpServer::bind.
    Result<TcpAddress> start(const TcpAddress& address);
    /// Sets the state that is shown. When no call follows for some seconds, the worker counts as
    /// stalled. Thread: any.
    void publish(WorkerView view);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace molink::examples
