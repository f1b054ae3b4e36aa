#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>

#include "base/bytes.h"

namespace molink {

/// Writes a new file. Not thread-safe.
class FileWriter {
public:
    explicit FileWriter(std::filesystem::path path) : path_(std::move(path)) {}
    FileWriter(const FileWriter&) = delete;
    FileWriter& operator=(const FileWriter&) = delete;
    /// Closes the file and does not remove it.
    ~FileWriter();

    /// Creates the file or truncates an existing one. Errors: unavailable, resource_exhausted.
    Status open();
    /// Appends bytes. Errors: resource_exhausted (disk full), unavailable; both name the file and
    /// the bytes written so far.
    Status write(ByteSpan bytes);
    /// Closes the file. No write may follow. Errors: those of write().
    Status close();

private:
    Status failed(std::string_view action, int error) const;

    std::filesystem::path path_;
    int descriptor_ = -1;
    std::uint64_t written_ = 0;
};

/// Files that appear in a folder together. Each is written under a temporary name. commit() renames
/// them in the order in which they were added. The destructor removes files that were not
/// committed.
class FileSet {
public:
    explicit FileSet(std::filesystem::path dir) : dir_(std::move(dir)) {}
    FileSet(const FileSet&) = delete;
    FileSet& operator=(const FileSet&) = delete;
    ~FileSet();

    /// Writes one file with `fill`. Errors: those of FileWriter and of `fill`.
    Status add(const std::string& name, const std::function<Status(FileWriter&)>& fill);
    Status add_text(const std::string& name, std::string_view text);
    Status commit();

private:
    std::filesystem::path temporary(const std::string& name) const;

    std::filesystem::path dir_;
    std::vector<std::string> names_;
};

}  // namespace molink
