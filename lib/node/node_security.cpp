// Where a node's keys come from. A worker with a token needs nothing else: its key pair is made in
// the user's state folder, and the key file remembers which heads know the key, so that the token,
// which may be for one use, is not needed again.
#include "node/node_security.h"

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "security/access_file.h"
#include "security/key_file.h"

namespace molink {
namespace {

namespace fs = std::filesystem;

/// The file of the key pair of a worker that was given only a token.
Result<std::string> default_key_file() {
    const char* state = std::getenv("XDG_STATE_HOME");
    const char* home = std::getenv("HOME");
    const bool has_state = state != nullptr && *state == '/';
    if (!has_state && (home == nullptr || *home == '\0')) {
        return invalid_argument(
            "there is no folder for the worker's key: neither XDG_STATE_HOME nor HOME is set; give "
            "a key file");
    }
    const fs::path folder =
        (has_state ? fs::path(state) : fs::path(home) / ".local" / "state") / "molink";
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
        return make_error(StatusCode::unavailable, "create the folder {} for the worker's key: {}",
                          folder.string(), error.message());
    }
    return (folder / "worker.key").string();
}

Result<std::string> key_file_of(const SecurityOptions& options) {
    if (!options.key_file.empty()) return options.key_file;
    return default_key_file();
}

}  // namespace

bool has_keys(const SecurityOptions& options) {
    return !options.key_file.empty() || !options.token.empty();
}

Status check_security(const SecurityOptions& options, bool head) {
    if (head) {
        if (!options.token.empty() || !options.head_key.empty()) {
            return invalid_argument("a head has no use for a {}",
                                    options.token.empty() ? "head key" : "token");
        }
        if (has_keys(options) == options.allow_file.empty()) {
            return invalid_argument(
                "a head needs a key file and an access file, or neither; the "
                "{} is missing",
                options.allow_file.empty() ? "access file" : "key file");
        }
        return {};
    }
    if (!options.allow_file.empty()) {
        return invalid_argument(
            "a worker has no use for an access file; the head decides who "
            "joins");
    }
    if (!options.token.empty() && !options.head_key.empty()) {
        return invalid_argument("a token and a head key are both given; the token has the key");
    }
    if (!options.key_file.empty() && options.token.empty() && options.head_key.empty()) {
        return invalid_argument("a worker with a key file needs the head's public key or a token");
    }
    if (options.key_file.empty() && !options.head_key.empty()) {
        return invalid_argument("a head key without a key file: the worker needs its own key");
    }
    return {};
}

Result<std::optional<KeyPair>> open_node_keys(const SecurityOptions& options) {
    if (!has_keys(options)) return std::optional<KeyPair>();
    MOLINK_ASSIGN_OR_RETURN(const std::string path, key_file_of(options));
    auto pair = read_key_file(path);
    if (!pair && pair.error().code() == StatusCode::not_found && !options.token.empty()) {
        const Status written = write_key_file(path, make_key_pair());
        // Another worker may have made it in the meantime; lock_node_keys() says so.
        if (!written.ok() && written.code() != StatusCode::failed_precondition) return written;
        pair = read_key_file(path);
    }
    if (!pair) return pair.error();
    return std::optional<KeyPair>(*pair);
}

Result<KeyLock> lock_node_keys(const SecurityOptions& options) {
    if (!has_keys(options)) return KeyLock();
    MOLINK_ASSIGN_OR_RETURN(const std::string path, key_file_of(options));
    return KeyLock::take(path);
}

Result<std::shared_ptr<AccessControl>> open_head_access(const SecurityOptions& options) {
    if (!has_keys(options)) return std::shared_ptr<AccessControl>();
    MOLINK_ASSIGN_OR_RETURN(auto file, AccessFile::open(options.allow_file));
    return std::shared_ptr<AccessControl>(std::move(file));
}

Result<HeadAccess> open_head_target(const WorkerOptions& options,
                                    const std::optional<KeyPair>& keys) {
    HeadAccess head;
    head.target = DialTarget(options.join);
    const SecurityOptions& security = options.security;
    if (!keys) return head;
    if (security.token.empty()) {
        MOLINK_ASSIGN_OR_RETURN(head.target.key, parse_public_key(security.head_key));
        return head;
    }
    MOLINK_ASSIGN_OR_RETURN(const JoinToken token, parse_token(security.token));
    if (options.join.empty()) head.target.address = token.address;
    head.target.key = token.head_key;
    MOLINK_ASSIGN_OR_RETURN(const std::string path, key_file_of(security));
    MOLINK_ASSIGN_OR_RETURN(head.introduced, knows_head(path, token.head_key));
    head.target.pass = token.pass;
    head.on_enrolled = [path, key = token.head_key, sink = options.log, level = options.log_level] {
        const Status kept = remember_head(path, key);
        if (!kept.ok()) Log(sink, level)(LogLevel::warning, "{}", kept.message());
    };
    return head;
}

}  // namespace molink
