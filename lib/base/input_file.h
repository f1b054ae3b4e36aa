#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include <molink/status.h>

namespace molink {

/// Tells whether a file is still the one that was opened before.
struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t modified_ns = 0;
    friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

/// A regular file that is open for reading. It is read and never mapped, because access to a map of
/// a file that another program truncates ends the process. Move-only. Thread: any thread may call
/// const members, several at once.
class InputFile {
public:
    InputFile(InputFile&& other) noexcept;
    InputFile& operator=(InputFile&&) = delete;
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;
    ~InputFile();

    /// Opens the file without blocking, so that a pipe is refused instead of waited for. Errors:
    /// not_found, unavailable (no permission to read), invalid_argument (not a regular file),
    /// resource_exhausted (no file descriptor or no memory is left). Each names the path.
    static Result<InputFile> open(const std::filesystem::path& path);

    const std::string& path() const { return path_; }
    const FileIdentity& identity() const { return identity_; }
    std::uint64_t size() const { return identity_.size; }

    /// Fills `out` with the bytes from `offset` on. Errors: data_loss when the file ends before
    /// (with the size that it had), or when the device cannot read it. Each names path and offset.
    Status read(std::uint64_t offset, std::span<std::byte> out) const;
    /// Hints that `count` bytes from `offset` on will be read soon.
    void will_need(std::uint64_t offset, std::uint64_t count) const;
    /// Errors: data_loss when the file is not the one that `before` describes, or has changed since
    /// it was opened, with what differs.
    Status check_unchanged(const FileIdentity& before) const;

private:
    InputFile() = default;

    std::string path_;
    int descriptor_ = -1;
    FileIdentity identity_;
};

/// Reads a whole file of at most `max_bytes`. Errors: those of InputFile; data_loss when it has
/// more bytes, or changes while it is read.
Result<std::string> read_file_text(const std::filesystem::path& path, std::size_t max_bytes);

}  // namespace molink
