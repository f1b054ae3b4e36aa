#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include <molink/address.h>
#include <molink/engine.h>
#include <molink/status.h>

#include "http/http_limits.h"
#include "serve/access.h"

namespace molink::examples {

struct ServerOptions {
    TcpAddress address{"127.0.0.1", 8080};
    std::string model_name;
    AccessRules access;
    std::shared_ptr<boost::asio::ssl::context> tls;  ///< null: plain HTTP
    /// Most completions that the engine runs and lets wait.
    std::int64_t most_completions = 272;
    int threads = 2;  ///< that make answers; input and output have their own
    HttpLimits limits;
};

/// OpenAI's /v1/models and /v1/completions on an engine, and its state at /health, /livez, /readyz,
/// /metrics and /cluster.
class Server {
public:
    explicit Server(ServerOptions options);
    /// Cuts off what is not answered. The engine must be closed before, so that nothing of it
    /// refers to the server any more.
    ~Server();

    /// Binds the address and returns it with the real port. Errors: those of HttpServer::bind.
    Result<TcpAddress> bind();
    /// Serves. `engine` must outlive the server.
    void start(Engine& engine);
    /// Refuses new completions from now on. Returns when none is under way any more, or after
    /// limit_s.
    void drain(double limit_s);
    /// Lets complete answers reach their clients for at most limit_s, and closes all connections.
    void stop(double limit_s);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace molink::examples
