#pragma once

#include <cstdint>
#include <memory>

#include <boost/asio/ssl/context.hpp>

#include <molink/address.h>
#include <molink/status.h>

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
    /// unavailable (the port is in use, the host is not of this machine), those of resolve_host,
    /// resource_exhausted (file descriptors). Of a name with several addresses the first that can
    /// be bound is used.
    Result<TcpAddress> bind(const TcpAddress& address);
    void start();
    /// Accepts no more connections, lets answers that are complete reach their clients for at most
    /// grace_ms, and closes the rest.
    void stop(std::int64_t grace_ms);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace molink::examples
