// Reads the header of a safetensors file as a stream of JSON events, without a tree and without
// recursion. Only the fixed structure is accepted, so a hostile header needs no more memory than
// the tensors that it names. Sizes are unsigned 64-bit and every product is checked, because
// attacks use offsets near 2^63. Finally the tensors must cover the data section exactly, as the
// format requires.
#include "loader/safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/limits.h"
#include "loader/json_parse.h"

namespace molink {
namespace {

using nlohmann::json;

// Element sizes in bits of all types of the format.
constexpr std::array<std::pair<std::string_view, std::uint64_t>, 20> kStoredTypes = {{
    {"BOOL", 8},    {"U8", 8},   {"I8", 8},      {"F8_E5M2", 8}, {"F8_E4M3", 8},
    {"F8_E8M0", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"I16", 16},
    {"U16", 16},    {"F16", 16}, {"BF16", 16},   {"I32", 32},    {"U32", 32},
    {"F32", 32},    {"C64", 64}, {"F64", 64},    {"I64", 64},    {"U64", 64},
}};

std::optional<std::uint64_t> type_bits(std::string_view name) {
    for (const auto& [known, bits] : kStoredTypes) {
        if (known == name) return bits;
    }
    return std::nullopt;
}

// Receives the events of the parser. The format has only three levels, so `where_` is the whole
// state.
class HeaderReader {
public:
    explicit HeaderReader(std::vector<TensorInfo>& tensors) : tensors_(tensors) {}

    /// Returns why reading stopped, without the name of the file.
    const std::string& problem() const { return problem_; }

    bool null() { return unexpected("null"); }
    bool boolean(bool) { return unexpected("a boolean"); }
    bool number_integer(std::int64_t) { return unexpected("a negative number"); }
    bool number_float(double, const std::string& text) { return unexpected(printable(text)); }
    bool binary(json::binary_t&) { return unexpected("binary data"); }
    bool number_unsigned(std::uint64_t value);
    bool string(std::string& value);
    bool start_object(std::size_t);
    bool end_object();
    bool start_array(std::size_t);
    bool end_array();
    bool key(std::string& name);
    bool parse_error(std::size_t position, const std::string&, const json::exception& error) {
        return fail(
            fmt::format("at byte {} of the header: {}", position, syntax_problem(error.what())));
    }

private:
    enum class Where { start, top, top_value, metadata, tensor, dtype, shape, offsets, end };
    enum Field : unsigned { kDtype = 1, kShape = 2, kOffsets = 4, kAllFields = 7 };

    bool fail(std::string problem) {
        problem_ = std::move(problem);
        return false;
    }
    std::string context() const {
        if (where_ == Where::metadata || in_metadata_) return "__metadata__";
        if (where_ == Where::start || where_ == Where::top || where_ == Where::end)
            return "the header";
        return "tensor '" + printable(name_) + "'";
    }
    bool unexpected(const std::string& what) {
        return fail(fmt::format("{}: unexpected {}", context(), what));
    }
    bool tensor_field(std::string_view name);

    std::vector<TensorInfo>& tensors_;
    std::unordered_set<std::string> names_;  // names in the top object
    std::unordered_set<std::string> metadata_keys_;
    Where where_ = Where::start;
    bool in_metadata_ = false;  // the current top key is "__metadata__"
    bool in_array_ = false;
    unsigned fields_ = 0;  // fields of the current tensor so far
    std::size_t offsets_ = 0;
    std::string name_;
    TensorInfo tensor_;
    std::string problem_;
};

bool HeaderReader::start_object(std::size_t) {
    if (where_ == Where::start) {
        where_ = Where::top;
        return true;
    }
    if (where_ != Where::top_value) return unexpected("object");
    where_ = in_metadata_ ? Where::metadata : Where::tensor;
    tensor_ = TensorInfo();
    fields_ = 0;
    return true;
}

bool HeaderReader::end_object() {
    if (where_ == Where::metadata) {
        in_metadata_ = false;
        where_ = Where::top;
        return true;
    }
    if (where_ == Where::top) {
        where_ = Where::end;
        return true;
    }
    if (fields_ != kAllFields) {
        return fail(fmt::format("{}: {} is missing", context(),
                                !(fields_ & kDtype)   ? "dtype"
                                : !(fields_ & kShape) ? "shape"
                                                      : "data_offsets"));
    }
    tensor_.name = name_;
    tensors_.push_back(std::move(tensor_));
    where_ = Where::top;
    return true;
}

bool HeaderReader::key(std::string& name) {
    if (where_ == Where::tensor) return tensor_field(name);
    auto& seen = where_ == Where::metadata ? metadata_keys_ : names_;
    if (!seen.insert(name).second) {
        return fail(fmt::format("the name '{}' appears twice", printable(name)));
    }
    if (where_ == Where::metadata) return true;
    name_ = name;
    in_metadata_ = name == "__metadata__";
    where_ = Where::top_value;
    return true;
}

bool HeaderReader::tensor_field(std::string_view name) {
    Field field = kDtype;
    Where next = Where::dtype;
    if (name == "shape") {
        field = kShape;
        next = Where::shape;
    } else if (name == "data_offsets") {
        field = kOffsets;
        next = Where::offsets;
    } else if (name != "dtype") {
        return fail(fmt::format("{}: unknown field '{}'", context(), printable(name)));
    }
    if (fields_ & field) {
        return fail(fmt::format("{}: field '{}' appears twice", context(), printable(name)));
    }
    fields_ |= field;
    where_ = next;
    return true;
}

bool HeaderReader::string(std::string& value) {
    if (where_ == Where::metadata) return true;
    if (where_ != Where::dtype) return unexpected("string '" + printable(value) + "'");
    if (!type_bits(value)) {
        return fail(fmt::format("{}: unknown dtype '{}'", context(), printable(value)));
    }
    tensor_.stored_type = value;
    where_ = Where::tensor;
    return true;
}

bool HeaderReader::start_array(std::size_t) {
    if ((where_ != Where::shape && where_ != Where::offsets) || in_array_)
        return unexpected("list");
    in_array_ = true;
    offsets_ = 0;
    return true;
}

bool HeaderReader::end_array() {
    if (where_ == Where::offsets && offsets_ != 2) {
        return fail(
            fmt::format("{}: data_offsets has {} numbers, expected 2", context(), offsets_));
    }
    in_array_ = false;
    where_ = Where::tensor;
    return true;
}

bool HeaderReader::number_unsigned(std::uint64_t value) {
    if (!in_array_) return unexpected(fmt::format("number {}", value));
    if (where_ == Where::offsets) {
        if (offsets_ == 2) return fail(context() + ": data_offsets has more than 2 numbers");
        (offsets_ == 0 ? tensor_.begin : tensor_.end) = value;
        ++offsets_;
        return true;
    }
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return fail(fmt::format("{}: dimension {} is too large", context(), value));
    }
    if (tensor_.shape.size() == limits::kMaxTensorDims) {
        return fail(fmt::format("{}: more than {} dimensions", context(), limits::kMaxTensorDims));
    }
    tensor_.shape.push_back(static_cast<std::int64_t>(value));
    return true;
}

// Returns the bytes for shape and dtype, or nullopt if they exceed 64 bits or are not whole bytes.
std::optional<std::uint64_t> needed_bytes(const TensorInfo& tensor) {
    std::uint64_t bits = type_bits(tensor.stored_type).value_or(0);
    for (const std::int64_t dim : tensor.shape) {
        if (__builtin_mul_overflow(bits, static_cast<std::uint64_t>(dim), &bits))
            return std::nullopt;
    }
    if (bits % 8 != 0) return std::nullopt;
    return bits / 8;
}

Status check_sizes(const TensorInfo& tensor, std::uint64_t data_bytes, const std::string& file) {
    const auto problem = [&](const std::string& text) {
        return make_error(
            StatusCode::data_loss, "read {}: tensor '{}' {} with data_offsets [{}, {}]: {}", file,
            printable(tensor.name), shape_text(tensor.shape), tensor.begin, tensor.end, text);
    };
    if (tensor.begin > tensor.end) return problem("the begin is after the end");
    if (tensor.end > data_bytes) {
        return problem(fmt::format("they exceed the data section of {} bytes", data_bytes));
    }
    const std::optional<std::uint64_t> needed = needed_bytes(tensor);
    if (!needed) return problem("its size is not a whole number of bytes below 2^61");
    if (*needed != tensor.end - tensor.begin) {
        return problem(fmt::format("a tensor of type {} and this shape has {} bytes",
                                   tensor.stored_type, *needed));
    }
    return {};
}

Status check_tiling(const std::vector<TensorInfo>& tensors, std::uint64_t data_bytes,
                    const std::string& file) {
    std::uint64_t reached = 0;
    for (const TensorInfo& tensor : tensors) {
        if (tensor.begin != reached) {
            return make_error(StatusCode::data_loss, "read {}: tensor '{}' begins at {}, {} at {}",
                              file, printable(tensor.name), tensor.begin,
                              tensor.begin < reached ? "inside the one that ends" : "after a hole",
                              reached);
        }
        reached = tensor.end;
    }
    if (reached != data_bytes) {
        return make_error(StatusCode::data_loss,
                          "read {}: the tensors end at byte {} of {} in the data section", file,
                          reached, data_bytes);
    }
    return {};
}

}  // namespace

Result<std::vector<TensorInfo>> parse_safetensors_header(std::string_view header,
                                                         std::uint64_t data_bytes,
                                                         const std::string& file) {
    if (header.empty() || header.front() != '{') {
        return make_error(StatusCode::data_loss, "read {}: the header does not begin with '{{'",
                          file);
    }
    // The parser treats a NUL byte as the end of its input and would ignore the rest.
    if (const std::size_t nul = header.find('\0'); nul != std::string_view::npos) {
        return make_error(StatusCode::data_loss, "read {}: the header has a NUL byte at offset {}",
                          file, nul);
    }
    std::vector<TensorInfo> tensors;
    HeaderReader reader(tensors);
    if (!json::sax_parse(header.begin(), header.end(), &reader)) {
        return make_error(StatusCode::data_loss, "read {}: {}", file, reader.problem());
    }
    for (const TensorInfo& tensor : tensors) {
        MOLINK_RETURN_IF_ERROR(check_sizes(tensor, data_bytes, file));
    }
    std::stable_sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    MOLINK_RETURN_IF_ERROR(check_tiling(tensors, data_bytes, file));
    return tensors;
}

}  // namespace molink
