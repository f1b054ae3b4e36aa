#pragma once

#include <string>

namespace molink::test {

struct HttpAnswer {
    int status = 0;  ///< 0: no answer
    std::string headers;
    std::string body;    ///< chunks joined
    bool whole = false;  ///< the body is complete
};

/// Sends one request to a port on loopback, over a connection of its own. `body` may be empty.
/// Waits at most 60 s for each piece of the answer.
HttpAnswer http_request(int port, const std::string& method, const std::string& path,
                        const std::string& body = {});

/// Sends a POST request, reads at least `bytes` bytes of the answer, and hangs up. Returns false
/// when the answer is shorter.
bool http_hang_up(int port, const std::string& path, const std::string& body, std::size_t bytes);

}  // namespace molink::test
