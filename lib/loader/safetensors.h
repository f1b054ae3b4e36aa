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

/// What the header of a safetensors file says of one tensor.
struct TensorInfo {
    std::string name;
    std::string stored_type;  ///< as in the file: "F32", "BF16", "I64", ...
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0;  ///< in the data section
    std::uint64_t end = 0;
};

/// A safetensors file, mapped. The header is read and checked whole when the file is opened: after
/// that every tensor is known to lie inside the file, none overlaps another and no byte is left
/// over. Move-only. Thread: const members from any thread.
class SafetensorsFile {
public:
    /// Errors: as MappedFile::open; data_loss for anything the format forbids.
    static Result<SafetensorsFile> open(const std::filesystem::path& path);

    const std::string& path() const { return file_.path(); }
    bool has(std::string_view name) const { return index_.count(name) != 0; }
    /// Errors: not_found, unimplemented (stored as a type other than F32, F16 and BF16).
    Result<TensorView> find(std::string_view name) const;
    /// In the order of their data.
    const std::vector<TensorInfo>& tensors() const { return tensors_; }
    /// The bytes after the header.
    ByteSpan data() const { return file_.bytes().subspan(data_offset_); }

    /// Whether `tensor` points into this file.
    bool contains(const TensorView& tensor) const;
    /// Hints: read soon; give the memory back. `tensor` is one of this file.
    void will_need(const TensorView& tensor) const;
    void release(const TensorView& tensor) const;

private:
    MappedFile file_;
    std::size_t data_offset_ = 0;
    std::vector<TensorInfo> tensors_;
    std::map<std::string_view, std::size_t, std::less<>> index_;  // names live in tensors_
};

}  // namespace molink
