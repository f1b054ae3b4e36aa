#pragma once

#include <string>
#include <string_view>

#include <molink/address.h>
#include <molink/options.h>
#include <molink/status.h>

namespace molink {

/// Refuses an address that is none, and one that is not local unless the node has keys or
/// `insecure` is set. `option` names it in the error.
Status check_address(std::string_view option, const std::string& address, AddressUse use,
                     const NodeOptions& options);

/// Checks all of a node's options that need no file and no network: addresses, sizes, types.
/// Errors: invalid_argument naming option, value and range.
Status check_node_options(const NodeOptions& options);
Status check_engine_options(const EngineOptions& options);
Status check_worker_options(const WorkerOptions& options);

}  // namespace molink
