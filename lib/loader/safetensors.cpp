// Opens a safetensors file and finds its tensors. A file has eight bytes of header length
// (little-endian), the JSON header and the data. The file is opened again for each tensor: then a
// checkpoint of many shards holds few descriptors, and a file that took the place of the one whose
// header was read is noticed. Relies on parse_safetensors_header to check the header.
#include "loader/safetensors.h"

#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "loader/json_parse.h"
#include "loader/safetensors_header.h"

namespace molink {
namespace {

constexpr std::size_t kLengthBytes = 8;

bool usable_type(std::string_view stored, DataType& type) {
    if (stored == "F32") {
        type = DataType::f32;
    } else if (stored == "F16") {
        type = DataType::f16;
    } else if (stored == "BF16") {
        type = DataType::bf16;
    } else {
        return false;
    }
    return true;
}

/// Reads rows of a tensor from an open file.
class SafetensorsReader final : public TensorReader {
public:
    SafetensorsReader(InputFile file, const FileIdentity& identity, const StoredTensor& tensor)
        : file_(std::move(file)), identity_(identity), tensor_(tensor) {}

    Status read(std::int64_t begin, std::int64_t count, std::byte* out) const override {
        const std::size_t row = tensor_.row_bytes();
        const std::uint64_t offset = tensor_.offset + static_cast<std::uint64_t>(begin) * row;
        const Status status = file_.read(offset, {out, static_cast<std::size_t>(count) * row});
        return status.ok() ? status : named(status);
    }

    Status finish() const override {
        const Status status = file_.check_unchanged(identity_);
        return status.ok() ? status : named(status);
    }

private:
    Status named(const Status& status) const {
        return status.with_context("tensor '" + printable(tensor_.name) + "'");
    }

    InputFile file_;
    FileIdentity identity_;
    StoredTensor tensor_;
};

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
    MOLINK_ASSIGN_OR_RETURN(const InputFile file, InputFile::open(path));
    SafetensorsFile out;
    out.path_ = file.path();
    out.identity_ = file.identity();
    if (file.size() < kLengthBytes) {
        return make_error(StatusCode::data_loss,
                          "read {}: it has {} bytes; a safetensors file has at least {}",
                          out.path(), file.size(), kLengthBytes);
    }
    std::byte length_bytes[kLengthBytes];
    MOLINK_RETURN_IF_ERROR(file.read(0, length_bytes));
    const auto length = read_le<std::uint64_t>(length_bytes, 0);
    if (length > limits::kMaxSafetensorsHeaderBytes || length > file.size() - kLengthBytes) {
        return make_error(
            StatusCode::data_loss,
            "read {}: its header claims {} bytes of a file of {} bytes (at most {} are permitted)",
            out.path(), length, file.size(), limits::kMaxSafetensorsHeaderBytes);
    }
    out.data_offset_ = kLengthBytes + length;
    std::string header(static_cast<std::size_t>(length), '\0');
    MOLINK_RETURN_IF_ERROR(file.read(kLengthBytes, std::as_writable_bytes(std::span(header))));
    MOLINK_RETURN_IF_ERROR(file.check_unchanged(out.identity_));
    MOLINK_ASSIGN_OR_RETURN(out.tensors_,
                            parse_safetensors_header(header, out.data_bytes(), out.path()));
    for (std::size_t i = 0; i < out.tensors_.size(); ++i)
        out.index_.emplace(out.tensors_[i].name, i);
    return out;
}

Result<StoredTensor> SafetensorsFile::find(std::string_view name) const {
    const auto it = index_.find(name);
    if (it == index_.end()) {
        return make_error(StatusCode::not_found,
                          "read {}: it has no tensor '{}' among its {} tensors", path(),
                          printable(name), tensors_.size());
    }
    const TensorInfo& info = tensors_[it->second];
    StoredTensor tensor;
    if (!usable_type(info.stored_type, tensor.type)) {
        return make_error(StatusCode::unimplemented,
                          "read {}: tensor '{}' is stored as {}; F32, F16 and BF16 are supported",
                          path(), printable(name), info.stored_type);
    }
    tensor.name = info.name;
    tensor.shape = info.shape;
    tensor.offset = data_offset_ + info.begin;
    tensor.bytes = info.end - info.begin;
    return tensor;
}

Result<InputFile> SafetensorsFile::reopen() const {
    MOLINK_ASSIGN_OR_RETURN(InputFile file, InputFile::open(path_));
    MOLINK_RETURN_IF_ERROR(file.check_unchanged(identity_));
    return file;
}

Status SafetensorsFile::read_data(std::uint64_t offset, std::span<std::byte> out) const {
    MOLINK_ASSIGN_OR_RETURN(const InputFile file, reopen());
    return file.read(data_offset_ + offset, out);
}

Result<std::unique_ptr<TensorReader>> SafetensorsFile::reader(const StoredTensor& tensor) const {
    Result<InputFile> file = reopen();
    if (!file) return file.error().with_context("tensor '" + printable(tensor.name) + "'");
    file->will_need(tensor.offset, tensor.bytes);
    return std::unique_ptr<TensorReader>(
        std::make_unique<SafetensorsReader>(std::move(*file), identity_, tensor));
}

}  // namespace molink
