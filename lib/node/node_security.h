#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <molink/options.h>
#include <molink/security.h>
#include <molink/transport.h>

#include "security/access.h"
#include "security/key_lock.h"

namespace molink {

/// Returns whether a node has a key pair.
bool has_keys(const SecurityOptions& options);

/// Reads the key pair of a node; none without keys. A worker that has a token and no key file yet
/// makes one. Errors: those of read_key_file and write_key_file.
Result<std::optional<KeyPair>> open_node_keys(const SecurityOptions& options);

/// Keeps other workers from using the key file of this one, which exists; holds nothing without
/// keys. Errors: those of KeyLock::take.
Result<KeyLock> lock_node_keys(const SecurityOptions& options);

/// Who may join a head; null without keys. Errors: those of AccessFile::open.
Result<std::shared_ptr<AccessControl>> open_head_access(const SecurityOptions& options);

/// How a worker reaches its head.
struct HeadAccess {
    DialTarget target{""};
    bool introduced = false;            ///< the key file says that the head knows the key
    std::function<void()> on_enrolled;  ///< remembers that the node's key is known to the head
};
/// `keys` are those of open_node_keys. Errors: invalid_argument for a malformed key or token.
Result<HeadAccess> open_head_target(const WorkerOptions& options,
                                    const std::optional<KeyPair>& keys);

/// Checks the options that need no file. `head`: of a head. Errors: invalid_argument.
Status check_security(const SecurityOptions& options, bool head);

}  // namespace molink
