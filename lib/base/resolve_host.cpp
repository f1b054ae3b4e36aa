// IP addresses of host names and of network interfaces, by the system's resolver. Only numbers are
// handed to libzmq: it would resolve a name on its thread for input and output, where a slow name
// server stops all links of the process, and it tells nobody that a name is unknown.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <memory>

#include <molink/address.h>

#include "base/error.h"

namespace molink {
namespace {

using Addresses = std::vector<std::string>;

/// Returns the number of an address, with the zone of a link-local one; empty if it has none.
std::string number_of(const sockaddr* address, socklen_t size) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(address, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
        return {};
    }
    return text.data();
}

/// Returns the addresses of a network interface, IPv4 first; none if there is no such interface.
Addresses addresses_of_interface(const std::string& name) {
    Addresses found;
    ifaddrs* all = nullptr;
    if (::getifaddrs(&all) != 0) return found;
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(all, ::freeifaddrs);
    for (const int family : {AF_INET, AF_INET6}) {
        const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
            if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != family) continue;
            if (one->ifa_name == name) found.push_back(number_of(one->ifa_addr, size));
        }
    }
    std::erase(found, std::string());
    return found;
}

Status cannot_resolve(const std::string& host, int error) {
    // A server that does not answer may answer later; a name that does not exist stays unknown.
    const bool later = error == EAI_AGAIN || error == EAI_MEMORY || error == EAI_SYSTEM;
    return make_error(later ? StatusCode::unavailable : StatusCode::not_found,
                      "the host name '{}' cannot be resolved: {}", host, ::gai_strerror(error));
}

}  // namespace

Result<std::vector<std::string>> resolve_host(const std::string& host, AddressUse use) {
    if (is_ip_address(host)) return Addresses{host};
    if (use == AddressUse::listen) {
        if (host == "*") return Addresses{"0.0.0.0"};
        Addresses found = addresses_of_interface(host);
        if (!found.empty()) return found;
    }
    addrinfo wanted{};
    wanted.ai_family = AF_UNSPEC;
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* all = nullptr;
    const int error = ::getaddrinfo(host.c_str(), nullptr, &wanted, &all);
    if (error != 0) return cannot_resolve(host, error);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(all, ::freeaddrinfo);
    Addresses found;
    for (const addrinfo* one = all; one != nullptr; one = one->ai_next) {
        std::string number = number_of(one->ai_addr, one->ai_addrlen);
        const bool is_new = std::find(found.begin(), found.end(), number) == found.end();
        if (!number.empty() && is_new) found.push_back(std::move(number));
    }
    if (found.empty()) return cannot_resolve(host, EAI_NONAME);
    return found;
}

}  // namespace molink
