#pragma once

#include <string>

#include <molink/status.h>

namespace molink::examples {

/// Where an HTTP server listens.
struct HttpAddress {
    std::string host;  ///< a name or an address, without brackets
    int port = 0;      ///< 0: any free port
};

/// Parses HOST:PORT; an IPv6 address is in brackets. Errors: invalid_argument with the text.
Result<HttpAddress> parse_http_address(const std::string& text);

/// Returns host and port for use in a URL.
std::string url_host(const HttpAddress& address);

bool is_loopback_host(const std::string& host);

}  // namespace molink::examples
