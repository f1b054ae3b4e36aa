#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

#include "loader/mapped_file.h"
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

/// A mapped safetensors file. open() checks the complete header: every tensor is inside the file,
/// tensors do not overlap, and they cover all data bytes. Move-only. Thread: any thread may call
/// const members.
class SafetensorsFile {
public:
    /// Errors: those of MappedFile::open; data_loss for everything that the format forbids.
    static Result<SafetensorsFile> open(const std::filesystem::path& path);

    const std::string& path() const { return file_.path(); }
    bool has(std::string_view name) const { return index_.count(name) != 0; }
    /// Errors: not_found, unimplemented (stored as a type other than F32, F16 and BF16).
    Result<TensorView> find(std::string_view name) const;
    /// Returns the tensors in the order of their data.
    const std::vector<TensorInfo>& tensors() const { return tensors_; }
    /// Returns the bytes after the header.
    ByteSpan data() const { return file_.bytes().subspan(data_offset_); }

    /// Returns whether `tensor` points into this file.
    bool contains(const TensorView& tensor) const;
    /// Hints that a tensor of this file will be read soon, or that its memory is no longer needed.
    void will_need(const TensorView& tensor) const;
    void release(const TensorView& tensor) const;

private:
    MappedFile file_;
    std::size_t data_offset_ = 0;
    std::vector<TensorInfo> tensors_;
    std::map<std::string_view, std::size_t, std::less<>> index_;  // names refer to tensors_
};

}  // namespace molink
