// Host and port of a TCP address, for links between nodes and for HTTP. Numbers are read here and
// nowhere else: a library that cuts off a port above 65535 would listen at another one. Relies on
// inet_pton for what an IP address is.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include <molink/address.h>

#include "base/error.h"

namespace molink {
namespace {

constexpr std::int32_t kMaxPort = 65535;

std::optional<std::array<std::uint8_t, 4>> ipv4_bytes(std::string_view host) {
    std::array<std::uint8_t, 4> bytes{};
    if (::inet_pton(AF_INET, std::string(host).c_str(), bytes.data()) != 1) return std::nullopt;
    return bytes;
}

/// Without the zone of a link-local address (fe80::1%eth0).
std::optional<std::array<std::uint8_t, 16>> ipv6_bytes(std::string_view host) {
    std::array<std::uint8_t, 16> bytes{};
    const std::string address(host.substr(0, host.find('%')));
    if (::inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1) return std::nullopt;
    return bytes;
}

bool is_name(std::string_view host) {
    return std::all_of(host.begin(), host.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    });
}

/// Returns what is wrong with a host that is not in brackets, or nothing.
std::string fault_of_host(std::string_view host) {
    if (host.empty()) return "there is no host before the port";
    if (host == "*") return {};
    if (host.find(':') != std::string_view::npos) {
        return "an IPv6 address needs brackets, as in [::1]:7100";
    }
    if (!is_name(host)) return fmt::format("'{}' is neither a host name nor an IP address", host);
    return {};
}

/// Returns what is wrong with a port, or nothing.
std::string read_port(std::string_view text, AddressUse use, std::uint16_t& port) {
    if (text == "*" && use == AddressUse::listen) return {};
    const bool digits = std::all_of(text.begin(), text.end(), [](char c) {
        return std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
    if (text.empty() || !digits) return fmt::format("the port '{}' is not a number", text);
    const std::size_t first = std::min(text.find_first_not_of('0'), text.size() - 1);
    const std::string_view number = text.substr(first);
    const std::int32_t value = number.size() > 5 ? kMaxPort + 1 : std::stoi(std::string(number));
    const std::int32_t least = use == AddressUse::listen ? 0 : 1;
    if (value < least || value > kMaxPort) {
        return fmt::format("the port is {}; {} to {} are permitted", number, least, kMaxPort);
    }
    port = static_cast<std::uint16_t>(value);
    return {};
}

/// Returns what is wrong with an address, or nothing.
std::string read_address(std::string_view text, AddressUse use, TcpAddress& address) {
    const std::size_t colon = text.rfind(':');
    const bool open = text.starts_with('[');
    const std::size_t bracket = open ? text.find(']') : std::string_view::npos;
    if (open && bracket == std::string_view::npos) return "the bracket is not closed";
    if (colon == std::string_view::npos || (open && colon < bracket)) return "there is no port";
    if (open && colon != bracket + 1) return "the port does not follow the bracket";
    address.host = open ? text.substr(1, bracket - 1) : text.substr(0, colon);
    if (open && !ipv6_bytes(address.host)) {
        return fmt::format("'{}' is not an IPv6 address", address.host);
    }
    if (!open) {
        std::string fault = fault_of_host(address.host);
        if (!fault.empty()) return fault;
    }
    if (use == AddressUse::dial && is_wildcard_host(address.host)) {
        return fmt::format("{} cannot be dialled: it is every address of this machine",
                           address.host);
    }
    return read_port(text.substr(colon + 1), use, address.port);
}

}  // namespace

Result<TcpAddress> parse_tcp_address(std::string_view option, std::string_view text,
                                     AddressUse use) {
    TcpAddress address;
    const std::string fault = read_address(text, use, address);
    if (fault.empty()) return address;
    return invalid_argument("{} is '{}': {}", option, text, fault);
}

std::string tcp_address_text(const TcpAddress& address) {
    const bool v6 = address.host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", v6 ? "[" : "", address.host, v6 ? "]" : "", address.port);
}

bool is_ip_address(std::string_view host) {
    return ipv4_bytes(host).has_value() || ipv6_bytes(host).has_value();
}

bool is_loopback_host(std::string_view host) {
    if (host == "localhost") return true;
    if (const auto v4 = ipv4_bytes(host)) return v4->front() == 127;
    const auto v6 = ipv6_bytes(host);
    if (!v6) return false;
    std::array<std::uint8_t, 16> loopback{};
    loopback.back() = 1;
    return *v6 == loopback;
}

bool is_wildcard_host(std::string_view host) {
    if (host == "*") return true;
    if (const auto v4 = ipv4_bytes(host)) return *v4 == std::array<std::uint8_t, 4>{};
    return ipv6_bytes(host) == std::array<std::uint8_t, 16>{};
}

}  // namespace molink
