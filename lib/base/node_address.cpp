// Addresses of nodes: a scheme, and what follows it. Host and port of tcp:// are read by
// parse_tcp_address(), as those of HTTP are. What follows the other schemes is left to the
// transport.
#include "base/node_address.h"

#include "base/error.h"

namespace molink {
namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr std::string_view kIpc = "ipc://";
constexpr std::string_view kInproc = "inproc://";

bool has_scheme(std::string_view address, std::string_view scheme) {
    return address.starts_with(scheme) && address.size() > scheme.size();
}

}  // namespace

Status check_node_address(std::string_view option, std::string_view address, AddressUse use) {
    if (has_scheme(address, kTcp)) {
        return parse_tcp_address(option, address.substr(kTcp.size()), use).status();
    }
    if (has_scheme(address, kIpc) || has_scheme(address, kInproc)) return {};
    return invalid_argument(
        "{} is '{}'; an address looks like tcp://127.0.0.1:7100, ipc:///path or inproc://name",
        option, address);
}

std::optional<TcpAddress> tcp_part(std::string_view address, AddressUse use) {
    if (!has_scheme(address, kTcp)) return std::nullopt;
    auto parsed = parse_tcp_address("address", address.substr(kTcp.size()), use);
    if (!parsed) return std::nullopt;
    return std::move(*parsed);
}

std::string node_address_text(const TcpAddress& address) {
    return fmt::format("{}{}", kTcp, tcp_address_text(address));
}

bool is_local_address(std::string_view address) {
    if (has_scheme(address, kIpc) || has_scheme(address, kInproc)) return true;
    const auto tcp = tcp_part(address, AddressUse::listen);
    return tcp && is_loopback_host(tcp->host);
}

bool is_wildcard_address(std::string_view address) {
    const auto tcp = tcp_part(address, AddressUse::listen);
    return tcp && is_wildcard_host(tcp->host);
}

}  // namespace molink
