#pragma once

#include <atomic>
#include <memory>
#include <string>

#include <molink/engine.h>
#include <molink/status.h>

namespace molink::examples {

struct ServerOptions {
    std::string host = "127.0.0.1";
    int port = 8080;  ///< 0: a free port
    int threads = 64;
    std::string model_name;
};

/// HTTP server of an engine: OpenAI's /v1/models and /v1/completions, /health, /metrics and
/// /cluster. Each connection has a thread while it is served.
class Server {
public:
    /// `engine` must outlive the server.
    Server(Engine& engine, ServerOptions options);
    ~Server();

    /// Binds the address and returns the port. Errors: unavailable when the address cannot be
    /// bound.
    Result<int> bind();
    /// Serves until stop(). Thread: the caller's.
    void run();
    /// Makes run() return. Unfinished answers are cut off. Thread: any.
    void stop();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace molink::examples
