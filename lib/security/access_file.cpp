// The access file on disk. Readers see one version or another, never half of one, because writers
// replace the file. Writers take a lock beside it, so that no edit is lost. Whoever may write the
// file decides who joins, so a file that others may write is refused.
#include "security/access_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "base/node_address.h"
#include "security/keys.h"

namespace molink {
namespace {

std::int64_t unix_seconds() {
    return static_cast<std::int64_t>(std::time(nullptr));
}

/// An access file: its content, and its text for edits.
struct ReadAccess {
    AccessList list;
    std::string text;
};

Result<ReadAccess> read_access(const std::string& path) {
    MOLINK_ASSIGN_OR_RETURN(const TextFile file, read_text_file("access file", path));
    if ((file.mode & (S_IWGRP | S_IWOTH)) != 0) {
        return make_error(StatusCode::failed_precondition,
                          "the access file {} may be written by others (mode {:04o}); change it "
                          "to 0600",
                          path, file.mode & 07777);
    }
    auto list = AccessList::parse(file.lines);
    if (!list) return list.error().with_context("read the access file " + path);
    return ReadAccess{std::move(*list), file.text};
}

/// Holds the lock of an access file while it exists.
class EditLock {
public:
    EditLock(const std::string& path, bool wait)
        : file_(::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {
        if (file_ < 0) return;
        const int how = wait ? LOCK_EX : LOCK_EX | LOCK_NB;
        do {
            held_ = ::flock(file_, how) == 0;
        } while (!held_ && errno == EINTR);
    }
    EditLock(const EditLock&) = delete;
    EditLock& operator=(const EditLock&) = delete;
    ~EditLock() {
        if (file_ >= 0) ::close(file_);
    }
    bool held() const { return held_; }

private:
    int file_;
    bool held_ = false;
};

/// Gives a file the owner and the mode of the one that it will replace, if there is one. Returns
/// errno or 0.
int copy_owner(int file, const std::string& path) {
    struct stat former {};
    if (::stat(path.c_str(), &former) != 0) return errno == ENOENT ? 0 : errno;
    if (::fchown(file, former.st_uid, former.st_gid) != 0) return errno;
    return ::fchmod(file, former.st_mode & 0755) != 0 ? errno : 0;
}

Status replace_file(const std::string& path, const std::string& text) {
    const std::string draft = path + ".new";
    ::unlink(draft.c_str());  // of an edit that was cut off; the lock is held
    const int file =
        ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return cannot_write("access file", draft, errno);
    int error = copy_owner(file, path);
    if (error == 0 && ::write(file, text.data(), text.size()) != std::ssize(text)) {
        error = errno == 0 ? ENOSPC : errno;
    }
    if (::fsync(file) != 0 && error == 0) error = errno;
    if (::close(file) != 0 && error == 0) error = errno;
    if (error == 0 && ::rename(draft.c_str(), path.c_str()) != 0) error = errno;
    if (error != 0) ::unlink(draft.c_str());
    return error == 0 ? Status() : cannot_write("access file", path, error);
}

/// Returns whether a line is about `key`.
bool names(std::string_view line, const PublicKey& key) {
    const auto words = parse_lines(line);
    return words && words->size() == 1 && words->front().words.size() > 1 &&
           words->front().words[1] == key_text(key);
}

}  // namespace

Status edit_access_file(const std::string& path,
                        const std::function<Result<AccessEdit>(const AccessList&)>& decide,
                        bool wait) {
    const EditLock lock(path, wait);
    if (!lock.held()) return cannot_write("access file", path + ".lock", errno);
    ReadAccess found;
    auto read = read_access(path);
    if (read) {
        found = std::move(*read);
    } else if (read.error().code() != StatusCode::not_found) {
        return read.error();
    }
    MOLINK_ASSIGN_OR_RETURN(const AccessEdit edit, decide(found.list));
    std::string edited;
    for (std::string_view rest = found.text; !rest.empty();) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        if (!edit.removed || !names(line, *edit.removed)) edited.append(line) += '\n';
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (!edit.line.empty()) edited.append(edit.line) += '\n';
    if (edited.size() > limits::kMaxKeyFileBytes) {
        return make_error(StatusCode::resource_exhausted,
                          "write the access file {}: it would have {} bytes; at most {} are "
                          "permitted",
                          path, edited.size(), limits::kMaxKeyFileBytes);
    }
    return replace_file(path, edited);
}

Result<std::unique_ptr<AccessFile>> AccessFile::open(const std::string& path) {
    std::unique_ptr<AccessFile> file(new AccessFile(path));
    MOLINK_RETURN_IF_ERROR(file->load(false));
    return file;
}

AccessFile::Version AccessFile::version() const {
    struct stat info {};
    if (::stat(path_.c_str(), &info) != 0) return {};
    return {info.st_ino, info.st_size,
            static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec};
}

/// Reads the file. With `report` the next refresh() reports a change all the same.
Status AccessFile::load(bool report) {
    const Version found = version();  // before reading: a change in between is seen later
    auto read = read_access(path_);
    // What cannot be read now may be readable later, unchanged; what is wrong stays wrong.
    if (!read && read.error().code() != StatusCode::data_loss) return read.error();
    version_ = report ? Version() : found;
    if (!read) return read.error();
    list_ = std::move(read->list);
    return {};
}

Result<bool> AccessFile::refresh() {
    const Version found = version();
    if (found == version_) return false;
    // Some editors write in place. A version counts when it has lasted from one look to the next.
    if (std::exchange(seen_, found) != found) return false;
    MOLINK_RETURN_IF_ERROR(load(false));
    return true;
}

Access AccessFile::access(const PublicKey& key) const {
    return list_.access(key, unix_seconds());
}

Status AccessFile::enrol(const PublicKey& pass, const PublicKey& key, std::string_view name) {
    const auto decide = [&](const AccessList& list) -> Result<AccessEdit> {
        const std::int64_t now_s = unix_seconds();
        const AccessList::Token* token = list.find_token(pass, now_s);
        if (token == nullptr) {
            return Status(StatusCode::failed_precondition, "the token is unknown, used or expired");
        }
        const bool known = list.access(key, now_s) == Access::member;
        if (!known && list.knows(key)) {
            return Status(StatusCode::failed_precondition,
                          "the key that is introduced is a token's");
        }
        AccessEdit edit;
        if (!token->reusable) edit.removed = pass;
        if (!known) edit.line = permit_line(key, name);
        return edit;
    };
    MOLINK_RETURN_IF_ERROR(edit_access_file(path_, decide, false));
    return load(true);
}

Status allow_key(const std::string& access_file, const PublicKey& key, std::string_view name) {
    return edit_access_file(access_file, [&](const AccessList& list) -> Result<AccessEdit> {
        if (!list.knows(key)) return AccessEdit{std::nullopt, permit_line(key, name)};
        return make_error(StatusCode::failed_precondition, "the key {} is in {} already",
                          key_text(key), access_file);
    });
}

Status revoke_key(const std::string& access_file, const PublicKey& key) {
    return edit_access_file(access_file, [&](const AccessList& list) -> Result<AccessEdit> {
        if (list.knows(key)) return AccessEdit{key, ""};
        return make_error(StatusCode::not_found, "the key {} is not in {}", key_text(key),
                          access_file);
    });
}

Result<JoinToken> add_join_token(const std::string& access_file, const PublicKey& head_key,
                                 const std::string& address, std::int64_t valid_s, bool reusable) {
    constexpr std::int64_t kTenYears = 10ll * 365 * 86'400;
    if (valid_s < 1 || valid_s > kTenYears) {
        return invalid_argument("a token for {} s; 1 to {} are permitted", valid_s, kTenYears);
    }
    if (address.empty() || address.size() > limits::kMaxWireStringBytes) {
        return invalid_argument("the token's address has {} bytes; 1 to {} are permitted",
                                address.size(), limits::kMaxWireStringBytes);
    }
    MOLINK_RETURN_IF_ERROR(check_node_address("the token's address", address, AddressUse::dial));
    const JoinToken token{address, head_key, make_key_pair()};
    const AccessList::Token permission{unix_seconds() + valid_s, reusable};
    MOLINK_RETURN_IF_ERROR(
        edit_access_file(access_file, [&](const AccessList&) -> Result<AccessEdit> {
            return AccessEdit{std::nullopt, token_line(token.pass.public_key, permission)};
        }));
    return token;
}

}  // namespace molink
