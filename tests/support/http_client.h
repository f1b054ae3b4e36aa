#pragma once

#include <string>

namespace molink::test {

struct HttpAnswer {
    int status = 0;  ///< 0: no answer
    std::string headers;
    std::string body;    ///< chunks joined
    bool whole = false;  ///< the body came to its end
};

/// One request to a port on loopback, one connection. `body` empty: without one. Waits at most 60 s
/// for each piece.
HttpAnswer http_request(int port, const std::string& method, const std::string& path,
                        const std::string& body = {});

/// Sends a request, reads `bytes` bytes of the answer at least, and hangs up.
bool http_hang_up(int port, const std::string& path, const std::string& body, std::size_t bytes);

}  // namespace molink::test
