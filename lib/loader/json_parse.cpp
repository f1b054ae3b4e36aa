// Parses JSON from untrusted files. nlohmann's event parser has its stack on the heap, so hostile
// nesting never overflows the call stack, and kMaxJsonDepth bounds its memory. The tree is built
// here, because the library's own builder silently keeps the last one of two equal keys.
#include "loader/json_parse.h"

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"
#include "base/limits.h"

namespace molink {
namespace {

using nlohmann::json;

class TreeBuilder {
public:
    TreeBuilder(json& root, const std::string& file) : root_(root), file_(file) {}

    Status status() const { return status_; }

    bool null() { return add(nullptr) != nullptr; }
    bool boolean(bool value) { return add(value) != nullptr; }
    bool number_integer(std::int64_t value) { return add(value) != nullptr; }
    bool number_unsigned(std::uint64_t value) { return add(value) != nullptr; }
    bool number_float(double value, const std::string&) { return add(value) != nullptr; }
    bool string(std::string& value) { return add(std::move(value)) != nullptr; }
    bool binary(json::binary_t&) { return false; }
    bool start_object(std::size_t) { return open(json::object()); }
    bool start_array(std::size_t) { return open(json::array()); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }

    bool key(std::string& name) {
        json& object = *open_.back();
        if (object.find(name) != object.end()) {
            status_ =
                make_error(StatusCode::data_loss, "parse {}: key '{}' appears twice in one object",
                           file_, printable(name));
            return false;
        }
        slot_ = &object[name];
        return true;
    }

    bool parse_error(std::size_t position, const std::string&, const json::exception& error) {
        status_ = make_error(StatusCode::data_loss, "parse {}: at byte {}: {}", file_, position,
                             syntax_problem(error.what()));
        return false;
    }

private:
    template <typename T>
    json* add(T&& value) {
        if (open_.empty()) {
            root_ = std::forward<T>(value);
            return &root_;
        }
        json& parent = *open_.back();
        if (parent.is_array()) {
            parent.push_back(std::forward<T>(value));
            return &parent.back();
        }
        *slot_ = std::forward<T>(value);
        return slot_;
    }

    bool open(json container) {
        if (open_.size() >= limits::kMaxJsonDepth) {
            status_ =
                make_error(StatusCode::data_loss, "parse {}: it is nested deeper than {} levels",
                           file_, limits::kMaxJsonDepth);
            return false;
        }
        open_.push_back(add(std::move(container)));
        return true;
    }

    bool close() {
        open_.pop_back();
        return true;
    }

    json& root_;
    const std::string& file_;
    std::vector<json*> open_;  // open containers; a parent does not grow while a child is open
    json* slot_ = nullptr;     // receives the value of the last key
    Status status_;
};

// Returns the length of the UTF-8 character at the beginning of `text`, or 0 if there is none.
std::size_t character_bytes(std::string_view text) {
    const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (byte(0) < 0x80) return 1;
    const std::size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
    if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
    }
    const bool overlong =
        (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90);
    const bool no_scalar =
        (byte(0) == 0xed && byte(1) > 0x9f) || (byte(0) == 0xf4 && byte(1) > 0x8f);
    return overlong || no_scalar ? 0 : length;
}

}  // namespace

std::string printable(std::string_view text) {
    constexpr std::size_t kMaxBytes = 160;
    std::string out;
    while (!text.empty() && out.size() < kMaxBytes) {
        const std::size_t length = character_bytes(text);
        const bool control = static_cast<unsigned char>(text[0]) < 0x20 || text[0] == 0x7f;
        if (length == 0 || control) {
            out += '?';
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    if (!text.empty()) out += "...";
    return out;
}

std::string syntax_problem(const char* what) {
    std::string_view text = what;
    const std::size_t begin = text.find("syntax error");
    if (begin != std::string_view::npos) {
        text.remove_prefix(begin);
    } else if (const std::size_t end = text.find("] "); end != std::string_view::npos) {
        text.remove_prefix(end + 2);
    }
    return printable(text);
}

Result<json> parse_json(std::string_view text, const std::string& file) {
    // The parser treats a NUL byte as the end of its input and would ignore the rest.
    if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
        return make_error(StatusCode::data_loss, "parse {}: it has a NUL byte at offset {}", file,
                          nul);
    }
    json root;
    TreeBuilder builder(root, file);
    if (!json::sax_parse(text.begin(), text.end(), &builder)) {
        Status status = builder.status();
        if (status.ok())
            status = make_error(StatusCode::data_loss, "parse {}: it is not JSON", file);
        return status;
    }
    return root;
}

Result<json> parse_json_file(const std::string& path, std::size_t max_bytes) {
    MOLINK_ASSIGN_OR_RETURN(const std::string text, read_file_text(path, max_bytes));
    if (text.empty()) return make_error(StatusCode::data_loss, "parse {}: the file is empty", path);
    return parse_json(text, path);
}

}  // namespace molink
