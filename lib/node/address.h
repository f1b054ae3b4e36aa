#pragma once

#include <string>
#include <string_view>

#include <molink/options.h>
#include <molink/status.h>

namespace molink {

/// Returns true for addresses that other machines cannot reach: loopback TCP, ipc and inproc.
bool is_local_address(std::string_view address);

/// Returns true for addresses that a node can listen at but nobody can dial: 0.0.0.0, [::] and *.
bool is_wildcard_address(std::string_view address);

/// Checks that an address has the form of one. `option` names it in the error.
Status check_form(std::string_view option, std::string_view address);

/// Refuses an address that is not local unless the node has keys or `insecure` is set. `option`
/// names it in the error.
Status check_address(std::string_view option, const std::string& address,
                     const NodeOptions& options);

/// Checks all of a node's options that need no file and no network: addresses, sizes, types.
/// Errors: invalid_argument naming option, value and range.
Status check_node_options(const NodeOptions& options);
Status check_engine_options(const EngineOptions& options);
Status check_worker_options(const WorkerOptions& options);

}  // namespace molink
