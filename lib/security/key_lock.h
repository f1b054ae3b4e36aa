#pragma once

#include <string>

#include <molink/status.h>

namespace molink {

/// Keeps others from using a key file while it exists. The system gives the lock back when the
/// process ends, however it ends. Move-only.
class KeyLock {
public:
    /// Holds nothing.
    KeyLock() = default;
    KeyLock(KeyLock&& other) noexcept;
    KeyLock& operator=(KeyLock&& other) noexcept;
    KeyLock(const KeyLock&) = delete;
    KeyLock& operator=(const KeyLock&) = delete;
    ~KeyLock();

    /// Takes the lock of a file that exists. A file system without locks gives one that keeps
    /// nobody away. Errors: failed_precondition when another one holds the lock, unavailable when
    /// the file cannot be opened; both name the file.
    static Result<KeyLock> take(const std::string& path);

private:
    explicit KeyLock(int file) : file_(file) {}
    int file_ = -1;
};

}  // namespace molink
