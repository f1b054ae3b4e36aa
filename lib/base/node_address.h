#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <molink/address.h>
#include <molink/status.h>

namespace molink {

/// Checks an address of a node: tcp://HOST:PORT, ipc://PATH or inproc://NAME. `option` names it in
/// errors. Errors: invalid_argument.
Status check_node_address(std::string_view option, std::string_view address, AddressUse use);

/// Returns host and port of a tcp:// address; nothing for other schemes, and for what is none.
std::optional<TcpAddress> tcp_part(std::string_view address, AddressUse use);

/// Returns the tcp:// address of host and port.
std::string node_address_text(const TcpAddress& address);

/// Returns true for addresses that other machines cannot reach: loopback TCP, ipc and inproc.
bool is_local_address(std::string_view address);

/// Returns true for addresses that a node can listen at but nobody can dial: 0.0.0.0, [::] and *.
bool is_wildcard_address(std::string_view address);

}  // namespace molink
