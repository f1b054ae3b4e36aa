#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <molink/status.h>

#include "common/head_flags.h"
#include "serve/server.h"

namespace molink::examples {

/// Flags of molink-serve, as the user typed them.
struct ServeFlags {
    HeadFlags head;
    std::string http = "127.0.0.1:8080";
    std::string model_name;
    int max_waiting = 256;
    int http_threads = 2;
    int http_connections = 1024;
    std::vector<std::string> api_keys;
    std::string tls_cert;
    std::string tls_key;
    std::string status = "auto";
    std::vector<std::string> cors;
    double drain_s = 4;
};

void add_serve_flags(CLI::App& app, ServeFlags& flags);

/// Converts the flags of the HTTP server. Errors: invalid_argument with the flag and its value.
Result<ServerOptions> make_server_options(const ServeFlags& flags);

/// Returns what the operator must know about who can use the server, or an empty text.
std::string exposure(const ServerOptions& options);

}  // namespace molink::examples
