#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace molink::examples {

struct HttpField {
    std::string name;
    std::string value;
};

/// A request as it was received. The body is empty until it was read.
struct HttpRequest {
    std::string method;
    std::string target;     ///< as sent
    std::string path;       ///< of the target: decoded, without doubled slashes and a final slash
    int minor_version = 1;  ///< HTTP/1.0 or HTTP/1.1
    bool keep_alive = true;
    bool expects_continue = false;
    bool has_body = false;
    bool from_loopback = false;     ///< the client's address is one of this host
    std::vector<HttpField> fields;  ///< names in lower case
    std::string body;
    std::shared_ptr<void> body_lease;  ///< gives the body's share of the common budget back

    /// Returns the value of a field, or null. `name` is in lower case. Fields that occur several
    /// times give the first.
    const std::string* find(std::string_view name) const;
};

/// An answer. Content-Length, Connection and Date are added when it is sent.
struct HttpReply {
    int status = 200;
    std::string type;  ///< Content-Type; empty: none
    std::vector<HttpField> fields;
    std::string body;
    bool close = false;  ///< closes the connection afterwards
};

/// A fault that the server finds before a handler sees the request.
struct HttpFault {
    int status = 400;
    std::string message;
};

/// How the body of an answer is delimited.
enum class BodyFraming { length, chunked, until_close };

/// Returns the head of an answer: status line and fields.
std::string head_text(const HttpReply& reply, int minor_version, bool keep_alive,
                      BodyFraming framing);

/// Returns the path of a request target: without scheme, host and query, with %XX decoded, one
/// slash for several, and no slash at the end. Returns nothing for a target that is none.
std::optional<std::string> path_of(std::string_view target);

std::string lower_case(std::string_view text);

}  // namespace molink::examples
