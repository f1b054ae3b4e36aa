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
#include <cstring>
#include <ctime>

#include "base/error.h"
#include "base/limits.h"
#include "security/keys.h"

namespace molink {
namespace {

std::int64_t unix_seconds() {
    return static_cast<std::int64_t>(std::time(nullptr));
}

Result<AccessList> read_list(const std::string& path) {
    MOLINK_ASSIGN_OR_RETURN(const TextFile file, read_text_file("access file", path));
    if ((file.mode & (S_IWGRP | S_IWOTH)) != 0) {
        return make_error(StatusCode::failed_precondition,
                          "the access file {} may be written by others (mode {:04o}); change it "
                          "to 0600",
                          path, file.mode & 07777);
    }
    auto list = AccessList::parse(file.lines);
    if (!list) return list.error().with_context("read the access file " + path);
    return list;
}

Status cannot_write(const std::string& path, int error) {
    return make_error(StatusCode::unavailable, "write the access file {}: {}", path,
                      std::strerror(error));
}

/// Holds the lock of an access file while it exists.
class EditLock {
public:
    explicit EditLock(const std::string& path)
        : file_(::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
        while (file_ >= 0 && ::flock(file_, LOCK_EX) != 0 && errno == EINTR) {
        }
    }
    EditLock(const EditLock&) = delete;
    EditLock& operator=(const EditLock&) = delete;
    ~EditLock() {
        if (file_ >= 0) ::close(file_);
    }
    bool held() const { return file_ >= 0; }

private:
    int file_;
};

Status replace_file(const std::string& path, const std::string& text) {
    const std::string draft = path + ".new";
    const int file = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return cannot_write(draft, errno);
    const bool written = ::write(file, text.data(), text.size()) == std::ssize(text);
    int error = written ? 0 : errno;
    if (::fsync(file) != 0 && error == 0) error = errno;
    if (::close(file) != 0 && error == 0) error = errno;
    if (error == 0 && ::rename(draft.c_str(), path.c_str()) != 0) error = errno;
    return error == 0 ? Status() : cannot_write(path, error);
}

/// Returns whether a line is about `key`.
bool names(std::string_view line, const PublicKey* key) {
    if (key == nullptr) return false;
    const auto words = parse_lines(line);
    return words && words->size() == 1 && words->front().words.size() > 1 &&
           words->front().words[1] == key_text(*key);
}

}  // namespace

Status edit_access_file(const std::string& path, const PublicKey* removed, std::string_view line,
                        const std::function<Status(const AccessList&)>& check) {
    const EditLock lock(path);
    if (!lock.held()) return cannot_write(path + ".lock", errno);
    std::string text;
    AccessList list;
    auto read = read_list(path);
    if (read) {
        list = std::move(*read);
        MOLINK_ASSIGN_OR_RETURN(text, read_whole_file("access file", path));
    } else if (read.error().code() != StatusCode::not_found) {
        return read.error();
    }
    MOLINK_RETURN_IF_ERROR(check(list));
    std::string edited;
    for (std::string_view rest = text; !rest.empty();) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        if (!names(rest.substr(0, end), removed)) edited.append(rest.substr(0, end)) += '\n';
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (!line.empty()) edited.append(line) += '\n';
    return replace_file(path, edited);
}

Result<std::unique_ptr<AccessFile>> AccessFile::open(const std::string& path) {
    std::unique_ptr<AccessFile> file(new AccessFile(path));
    MOLINK_RETURN_IF_ERROR(file->load());
    return file;
}

AccessFile::Version AccessFile::version() const {
    struct stat info {};
    if (::stat(path_.c_str(), &info) != 0) return {};
    return {info.st_ino, info.st_size,
            static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec};
}

Status AccessFile::load() {
    version_ = version();  // before reading: a change in between is then seen by the next refresh()
    MOLINK_ASSIGN_OR_RETURN(list_, read_list(path_));
    return {};
}

Result<bool> AccessFile::refresh() {
    if (version() == version_) return false;
    MOLINK_RETURN_IF_ERROR(load());
    return true;
}

Access AccessFile::access(const PublicKey& key) const {
    return list_.access(key, unix_seconds());
}

Status AccessFile::enrol(const PublicKey& pass, const PublicKey& key, std::string_view name) {
    const std::int64_t now_s = unix_seconds();
    bool reusable = false;
    bool known = false;
    const auto check = [&](const AccessList& list) {
        const AccessList::Token* token = list.find_token(pass, now_s);
        if (token == nullptr) {
            return Status(StatusCode::failed_precondition, "the token is unknown, used or expired");
        }
        reusable = token->reusable;
        known = list.access(key, now_s) == Access::member;
        return Status();
    };
    MOLINK_RETURN_IF_ERROR(check(list_));
    MOLINK_RETURN_IF_ERROR(edit_access_file(path_, reusable ? nullptr : &pass,
                                            known ? "" : permit_line(key, name), check));
    return load();
}

Status allow_key(const std::string& access_file, const PublicKey& key, std::string_view name) {
    return edit_access_file(
        access_file, nullptr, permit_line(key, name), [&](const AccessList& list) {
            if (list.access(key, unix_seconds()) == Access::none) return Status();
            return make_error(StatusCode::failed_precondition, "the key {} is in {} already",
                              key_text(key), access_file);
        });
}

Status revoke_key(const std::string& access_file, const PublicKey& key) {
    return edit_access_file(access_file, &key, "", [&](const AccessList& list) {
        if (list.knows(key)) return Status();
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
    const JoinToken token{address, head_key, make_key_pair()};
    const AccessList::Token permission{unix_seconds() + valid_s, reusable};
    MOLINK_RETURN_IF_ERROR(edit_access_file(access_file, nullptr,
                                            token_line(token.pass.public_key, permission),
                                            [](const AccessList&) { return Status(); }));
    return token;
}

}  // namespace molink
