// The lock of a key file. Two workers with one key would be one node to their head, which lets each
// of them end the other. The lock is on the file itself, so that every name of it counts. Relies on
// flock(), whose lock belongs to what was opened and ends with it.
#include "security/key_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace molink {

KeyLock::KeyLock(KeyLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

KeyLock& KeyLock::operator=(KeyLock&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
}

KeyLock::~KeyLock() {
    if (file_ < 0) return;
    (void)::flock(file_, LOCK_UN);  // a child of fork() may still have the file open
    ::close(file_);
}

Result<KeyLock> KeyLock::take(const std::string& path) {
    KeyLock lock(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (lock.file_ < 0) {
        return make_error(StatusCode::unavailable, "lock the key file {}: {}", path,
                          std::strerror(errno));
    }
    int result = 0;
    do {
        result = ::flock(lock.file_, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EWOULDBLOCK) {
        return make_error(StatusCode::failed_precondition,
                          "the key file {} is used by another worker on this machine; give each "
                          "worker a key file of its own (--key FILE, key_file)",
                          path);
    }
    return lock;
}

}  // namespace molink
