#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include <molink/status.h>

#include "base/bytes.h"

namespace molink {

/// A file that is mapped read-only into memory. Move-only; the destructor unmaps it. Pages are read
/// when they are accessed. If another program truncates the file while it is mapped, access faults;
/// replace files by renaming. Thread: any thread may call const members.
class MappedFile {
public:
    MappedFile() = default;
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile();

    /// Maps the regular file `path`. An empty file has size() == 0. Errors: not_found, unavailable
    /// (no permission to read), invalid_argument (not a regular file), resource_exhausted. Each
    /// names the path.
    static Result<MappedFile> open(const std::filesystem::path& path);

    const std::string& path() const { return path_; }
    std::size_t size() const { return size_; }
    const std::byte* data() const { return data_; }
    ByteSpan bytes() const { return {data_, size_}; }

    /// Hints that [offset, offset + count) will be read soon. The range is clamped to the file.
    void will_need(std::size_t offset, std::size_t count) const;
    /// Releases the pages of [offset, offset + count). They are read again when they are accessed.
    /// The range is clamped to the file.
    void dont_need(std::size_t offset, std::size_t count) const;

private:
    void advise(std::size_t offset, std::size_t count, int advice) const;
    void close();

    std::string path_;
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace molink
