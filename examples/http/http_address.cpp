// HOST:PORT of --http.
#include "http/http_address.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <boost/asio/ip/address.hpp>

namespace molink::examples {

Result<HttpAddress> parse_http_address(const std::string& text) {
    const auto bad = [&](const char* what) {
        return Status(StatusCode::invalid_argument,
                      fmt::format("the address '{}' {}; it must be HOST:PORT or [IPV6]:PORT, with "
                                  "port 0 for any free port",
                                  text, what));
    };
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) return bad("has no port");
    HttpAddress address{text.substr(0, colon), 0};
    const std::string port = text.substr(colon + 1);
    const char* end = port.data() + port.size();
    const auto read = std::from_chars(port.data(), end, address.port);
    const bool digits =
        std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (port.empty() || !digits) return bad("has no port that is a number");
    if (read.ec != std::errc() || address.port > 65535) return bad("has a port above 65535");
    if (address.host.size() >= 2 && address.host.front() == '[' && address.host.back() == ']') {
        address.host = address.host.substr(1, address.host.size() - 2);
    } else if (address.host.find(':') != std::string::npos) {
        return bad("has an IPv6 address without brackets");
    }
    if (address.host.empty()) return bad("has no host");
    return address;
}

std::string url_host(const HttpAddress& address) {
    const bool v6 = address.host.find(':') != std::string::npos;
    return fmt::format(fmt::runtime(v6 ? "[{}]:{}" : "{}:{}"), address.host, address.port);
}

bool is_loopback_host(const std::string& host) {
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(host, error);
    return error ? host == "localhost" : address.is_loopback();
}

}  // namespace molink::examples
