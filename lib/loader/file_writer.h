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

/// Appends to a new file. Move-only is not needed: it is made in place and used on one thread.
class FileWriter {
public:
    explicit FileWriter(std::filesystem::path path) : path_(std::move(path)) {}
    FileWriter(const FileWriter&) = delete;
    FileWriter& operator=(const FileWriter&) = delete;
    /// Closes; removes nothing.
    ~FileWriter();

    /// Creates the file, or empties the one that is there. Errors: unavailable, resource_exhausted.
    Status open();
    /// Errors: resource_exhausted (disk full), unavailable; both name the file and how far it got.
    Status write(ByteSpan bytes);
    /// Errors: as write. Nothing may be written afterwards.
    Status close();

private:
    Status failed(std::string_view action, int error) const;

    std::filesystem::path path_;
    int descriptor_ = -1;
    std::uint64_t written_ = 0;
};

/// Files that appear in a folder together: each is written under a temporary name, and commit()
/// gives them their names in the order they were added. What is not committed is removed by the
/// destructor.
class FileSet {
public:
    explicit FileSet(std::filesystem::path dir) : dir_(std::move(dir)) {}
    FileSet(const FileSet&) = delete;
    FileSet& operator=(const FileSet&) = delete;
    ~FileSet();

    /// Writes one file with `fill`. Errors: as FileWriter and `fill`.
    Status add(const std::string& name, const std::function<Status(FileWriter&)>& fill);
    Status add_text(const std::string& name, std::string_view text);
    Status commit();

private:
    std::filesystem::path temporary(const std::string& name) const;

    std::filesystem::path dir_;
    std::vector<std::string> names_;
};

}  // namespace molink
