#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <molink/export.h>
#include <molink/status.h>

namespace molink {

/// What an address is for. Some hosts and ports make sense only to listen at.
enum class AddressUse : std::uint8_t { listen, dial };

/// Host and port of a TCP address.
struct TcpAddress {
    std::string host;        ///< a name, an IP address without brackets, or "*"
    std::uint16_t port = 0;  ///< 0: any free port
    friend bool operator==(const TcpAddress&, const TcpAddress&) = default;
};

/// Parses HOST:PORT or [IPV6]:PORT. The port is 1 to 65535. To listen it may also be 0 or *, which
/// is any free port, and the host may be *, which is every IPv4 address of this machine, or the
/// name of a network interface. Errors: invalid_argument with `option`, the text and what is wrong
/// with it.
MOLINK_EXPORT Result<TcpAddress> parse_tcp_address(std::string_view option, std::string_view text,
                                                   AddressUse use);

/// Returns HOST:PORT, with brackets around an IPv6 address.
MOLINK_EXPORT std::string tcp_address_text(const TcpAddress& address);

/// Returns true for hosts that no other machine can reach: localhost, 127.0.0.0/8 and ::1.
MOLINK_EXPORT bool is_loopback_host(std::string_view host);

/// Returns true for hosts that stand for all addresses of this machine: *, 0.0.0.0 and ::.
MOLINK_EXPORT bool is_wildcard_host(std::string_view host);

/// Returns whether a host is an IP address, so that resolve_host() returns at once.
MOLINK_EXPORT bool is_ip_address(std::string_view host);

/// Returns the IP addresses of a host, in the order in which they are to be tried; there is at
/// least one. To listen, * and names of network interfaces are known as well. Blocks until the
/// system has resolved a name, which may take half a minute. Errors: not_found (nobody knows the
/// name), unavailable (the name cannot be resolved now); both name the host. Thread: any.
MOLINK_EXPORT Result<std::vector<std::string>> resolve_host(const std::string& host,
                                                            AddressUse use);

}  // namespace molink
