#pragma once

#include <cstdint>
#include <memory>

#include <boost/asio/ssl/context.hpp>

#include <molink/status.h>

#include "http/http_address.h"
#include "http/http_handler.h"
#include "http/http_limits.h"

namespace molink::examples {

/// An HTTP/1.1 server with a few threads, whatever the number of connections. What it bounds is in
/// HttpLimits.
class HttpServer {
public:
    /// `tls`: null for plain HTTP. `handler` must outlive the server.
    HttpServer(const HttpLimits& limits, HttpHandler& handler,
               std::shared_ptr<boost::asio::ssl::context> tls);
    /// Closes all connections and joins the threads.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Binds the address and returns it with the real port. Clients wait until start(). Errors:
    /// unavailable (the port is in use, the host is unknown or not of this machine),
    /// resource_exhausted (file descriptors).
    Result<HttpAddress> bind(const HttpAddress& address);
    void start();
    /// Accepts no more connections, lets answers that are complete reach their clients for at most
    /// grace_ms, and closes the rest.
    void stop(std::int64_t grace_ms);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace molink::examples
