// Opens a safetensors file and returns its tensors as views of the map. A file has eight bytes of
// header length (little-endian), the JSON header and the data. Nothing is copied, so a tensor may
// begin at any address. Relies on parse_safetensors_header to check the header.
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

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
    SafetensorsFile out;
    MOLINK_ASSIGN_OR_RETURN(out.file_, MappedFile::open(path));
    const ByteSpan bytes = out.file_.bytes();
    if (bytes.size() < kLengthBytes) {
        return make_error(StatusCode::data_loss,
                          "read {}: it has {} bytes; a safetensors file has at least {}",
                          out.path(), bytes.size(), kLengthBytes);
    }
    const auto length = read_le<std::uint64_t>(bytes, 0);
    if (length > limits::kMaxSafetensorsHeaderBytes || length > bytes.size() - kLengthBytes) {
        return make_error(
            StatusCode::data_loss,
            "read {}: its header claims {} bytes of a file of {} bytes (at most {} are permitted)",
            out.path(), length, bytes.size(), limits::kMaxSafetensorsHeaderBytes);
    }
    const auto header_bytes = static_cast<std::size_t>(length);
    out.data_offset_ = kLengthBytes + header_bytes;
    const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                                  header_bytes);
    MOLINK_ASSIGN_OR_RETURN(out.tensors_, parse_safetensors_header(
                                              header, bytes.size() - out.data_offset_, out.path()));
    for (std::size_t i = 0; i < out.tensors_.size(); ++i)
        out.index_.emplace(out.tensors_[i].name, i);
    return out;
}

Result<TensorView> SafetensorsFile::find(std::string_view name) const {
    const auto it = index_.find(name);
    if (it == index_.end()) {
        return make_error(StatusCode::not_found,
                          "read {}: it has no tensor '{}' among its {} tensors", path(),
                          printable(name), tensors_.size());
    }
    const TensorInfo& info = tensors_[it->second];
    TensorView view;
    if (!usable_type(info.stored_type, view.type)) {
        return make_error(StatusCode::unimplemented,
                          "read {}: tensor '{}' is stored as {}; F32, F16 and BF16 are supported",
                          path(), printable(name), info.stored_type);
    }
    view.name = info.name;
    view.shape = info.shape;
    view.data = data().data() + info.begin;
    view.bytes = static_cast<std::size_t>(info.end - info.begin);
    return view;
}

bool SafetensorsFile::contains(const TensorView& tensor) const {
    const std::less_equal<const std::byte*> not_after;
    return not_after(file_.data(), tensor.data) &&
           not_after(tensor.data, file_.data() + file_.size());
}

void SafetensorsFile::will_need(const TensorView& tensor) const {
    file_.will_need(static_cast<std::size_t>(tensor.data - file_.data()), tensor.bytes);
}

void SafetensorsFile::release(const TensorView& tensor) const {
    file_.dont_need(static_cast<std::size_t>(tensor.data - file_.data()), tensor.bytes);
}

}  // namespace molink
