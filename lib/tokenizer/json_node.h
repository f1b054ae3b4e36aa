#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <molink/status.h>

namespace molink {

/// A value inside a JSON document with the path that leads to it ("model.vocab"), so that every
/// wrong type is reported with its key. Points into the document. Errors are invalid_argument.
class JsonNode {
public:
    JsonNode(const nlohmann::json& value, std::string path)
        : value_(&value), path_(std::move(path)) {}

    const nlohmann::json& value() const { return *value_; }
    const std::string& path() const { return path_; }

    /// The value of `key` in this object; an error when this is no object or the key is missing.
    Result<JsonNode> member(std::string_view key) const;
    /// The same, but nothing when the key is missing, its value is null, or this is no object.
    std::optional<JsonNode> find(std::string_view key) const;
    /// Element `index` < value().size() of this array.
    JsonNode element(std::size_t index) const;

    Status expect_object() const;
    Status expect_array() const;
    Result<std::string> text() const;
    Result<bool> boolean() const;
    /// An integer of [0, limit).
    Result<std::int64_t> index_below(std::int64_t limit) const;

    Result<std::string> text_member(std::string_view key) const;
    Result<bool> boolean_member(std::string_view key) const;
    /// `otherwise` when the key is missing or null.
    Result<bool> boolean_member_or(std::string_view key, bool otherwise) const;

private:
    Status unexpected(std::string_view wanted) const;

    const nlohmann::json* value_;
    std::string path_;
};

/// Parses `json` without exceptions. Refuses nesting deeper than limits::kMaxJsonDepth. The message
/// of a syntax error has its place.
Result<nlohmann::json> parse_json(std::string_view json);

}  // namespace molink
