// Reads JSON that may be hostile. Types are checked at every step, nothing throws, and the depth is
// bounded before the parser reads the text. If a document does not parse, it is read again by a
// handler that keeps only the place and the reason.
#include "tokenizer/json_node.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "base/limits.h"

namespace molink {
namespace {

using nlohmann::json;

class ErrorFinder : public nlohmann::json_sax<json> {
public:
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool start_object(std::size_t) override { return true; }
    bool key(string_t&) override { return true; }
    bool end_object() override { return true; }
    bool start_array(std::size_t) override { return true; }
    bool end_array() override { return true; }
    bool parse_error(std::size_t, const std::string&, const json::exception& failure) override {
        const std::string_view text = failure.what();
        const std::size_t end_of_code = text.find("] ");
        reason = text.substr(end_of_code == std::string_view::npos ? 0 : end_of_code + 2);
        return false;
    }
    std::string reason = "not JSON";
};

// Looks for two equal keys in one object, of which the library would silently keep the last.
class DuplicateFinder {
public:
    const std::string& found() const { return found_; }

    bool look(json::parse_event_t event, const json& value) {
        if (event == json::parse_event_t::object_start) keys_.emplace_back();
        if (event == json::parse_event_t::object_end && !keys_.empty()) keys_.pop_back();
        if (event != json::parse_event_t::key || keys_.empty()) return true;
        const auto& key = value.get_ref<const std::string&>();
        if (!keys_.back().insert(key).second && found_.empty()) found_ = shortened(key);
        return true;
    }

private:
    static std::string shortened(const std::string& key) {
        constexpr std::size_t kMost = 80;
        return key.empty() ? "(empty)" : key.size() <= kMost ? key : key.substr(0, kMost) + "...";
    }

    std::vector<std::unordered_set<std::string>> keys_;  // of the open objects
    std::string found_;
};

// Returns the deepest nesting of arrays and objects. Brackets in strings do not count.
std::size_t nesting_depth(std::string_view text) {
    std::size_t depth = 0;
    std::size_t deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        }
    }
    return deepest;
}

}  // namespace

Status JsonNode::unexpected(std::string_view wanted) const {
    return invalid_argument("key {}: expected {}, found {}{}", path_.empty() ? "(root)" : path_,
                            wanted, value_->type_name(),
                            value_->is_number() ? " " + value_->dump() : std::string());
}

Result<JsonNode> JsonNode::member(std::string_view key) const {
    MOLINK_RETURN_IF_ERROR(expect_object());
    const auto it = value_->find(key);
    if (it == value_->end()) {
        return invalid_argument("key {}{}{} is missing", path_, path_.empty() ? "" : ".", key);
    }
    return JsonNode(*it, fmt::format("{}{}{}", path_, path_.empty() ? "" : ".", key));
}

std::optional<JsonNode> JsonNode::find(std::string_view key) const {
    const auto it = value_->find(key);
    if (it == value_->end() || it->is_null()) return std::nullopt;
    return JsonNode(*it, fmt::format("{}{}{}", path_, path_.empty() ? "" : ".", key));
}

JsonNode JsonNode::element(std::size_t index) const {
    return JsonNode((*value_)[index], fmt::format("{}[{}]", path_, index));
}

Status JsonNode::expect_object() const {
    return value_->is_object() ? Status() : unexpected("an object");
}

Status JsonNode::expect_array() const {
    return value_->is_array() ? Status() : unexpected("an array");
}

Result<std::string> JsonNode::text() const {
    if (!value_->is_string()) return unexpected("a string");
    return value_->get_ref<const std::string&>();
}

Result<bool> JsonNode::boolean() const {
    if (!value_->is_boolean()) return unexpected("true or false");
    return value_->get<bool>();
}

Result<std::int64_t> JsonNode::index_below(std::int64_t limit) const {
    const auto* const number = value_->get_ptr<const json::number_unsigned_t*>();
    if (!number || *number >= static_cast<std::uint64_t>(limit)) {
        return unexpected(fmt::format("an integer in [0, {})", limit));
    }
    return static_cast<std::int64_t>(*number);
}

Result<std::string> JsonNode::text_member(std::string_view key) const {
    MOLINK_ASSIGN_OR_RETURN(const JsonNode node, member(key));
    return node.text();
}

Result<bool> JsonNode::boolean_member(std::string_view key) const {
    MOLINK_ASSIGN_OR_RETURN(const JsonNode node, member(key));
    return node.boolean();
}

Result<bool> JsonNode::boolean_member_or(std::string_view key, bool otherwise) const {
    const std::optional<JsonNode> node = find(key);
    return node ? node->boolean() : Result<bool>(otherwise);
}

Result<json> parse_json(std::string_view text) {
    const std::size_t depth = nesting_depth(text);
    if (depth > limits::kMaxJsonDepth) {
        return invalid_argument(
            "parse JSON of {} bytes: it is nested {} levels deep; at most {} are permitted",
            text.size(), depth, limits::kMaxJsonDepth);
    }
    DuplicateFinder duplicates;
    const auto look = [&](int, json::parse_event_t event, json& value) {
        return duplicates.look(event, value);
    };
    json document = json::parse(text.begin(), text.end(), look, false);
    if (!duplicates.found().empty()) {
        return invalid_argument("parse JSON of {} bytes: key \"{}\" appears twice in one object",
                                text.size(), duplicates.found());
    }
    if (!document.is_discarded()) return document;
    ErrorFinder finder;
    json::sax_parse(text.begin(), text.end(), &finder);
    return invalid_argument("parse JSON of {} bytes: {}", text.size(), finder.reason);
}

}  // namespace molink
