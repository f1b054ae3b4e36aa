#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

#include "base/input_file.h"
#include "loader/weight_source.h"

namespace molink {

/// The entry of one tensor in the header of a safetensors file.
struct TensorInfo {
    std::string name;
    std::string stored_type;  ///< as in the file: "F32", "BF16", "I64", ...
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0;  ///< in the data section
    std::uint64_t end = 0;
};

/// A safetensors file whose header was read. open() checks the complete header: every tensor is
/// inside the file, tensors do not overlap, and they cover all data bytes. The file itself is only
/// open while something is read. Thread: any thread may call const members.
class SafetensorsFile {
public:
    /// Errors: those of InputFile; data_loss for everything that the format forbids.
    static Result<SafetensorsFile> open(const std::filesystem::path& path);

    const std::string& path() const { return path_; }
    bool has(std::string_view name) const { return index_.count(name) != 0; }
    /// Errors: not_found, unimplemented (stored as a type other than F32, F16 and BF16).
    Result<StoredTensor> find(std::string_view name) const;
    /// Returns the tensors in the order of their data.
    const std::vector<TensorInfo>& tensors() const { return tensors_; }
    /// Returns the number of bytes after the header.
    std::uint64_t data_bytes() const { return identity_.size - data_offset_; }

    /// Opens the file again. Errors: those of InputFile; data_loss when it has changed since its
    /// header was read.
    Result<InputFile> reopen() const;
    /// Fills `out` with the bytes from `offset` of the data section on. Errors: those of reopen()
    /// and of InputFile::read.
    Status read_data(std::uint64_t offset, std::span<std::byte> out) const;
    /// Opens a tensor of find(), or rows of one. Errors: those of reopen().
    Result<std::unique_ptr<TensorReader>> reader(const StoredTensor& tensor) const;

private:
    SafetensorsFile() = default;

    std::string path_;
    FileIdentity identity_;
    std::uint64_t data_offset_ = 0;
    std::vector<TensorInfo> tensors_;
    std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace molink
