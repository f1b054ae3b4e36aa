#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <molink/status.h>

namespace molink {

/// A value in a JSON document with its path ("model.vocab"), so that errors name the key. It points
/// into the document. All errors are invalid_argument.
class JsonNode {
public:
    JsonNode(const nlohmann::json& value, std::string path)
        : value_(&value), path_(std::move(path)) {}

    const nlohmann::json& value() const { return *value_; }
    const std::string& path() const { return path_; }

    /// Returns the value of `key`. It is an error if this is not an object or has no such key.
    Result<JsonNode> member(std::string_view key) const;
    /// Returns the value of `key`, or nothing if the key is missing, its value is null, or this is
    /// not an object.
    std::optional<JsonNode> find(std::string_view key) const;
    /// Returns element `index` < value().size() of this array.
    JsonNode element(std::size_t index) const;

    Status expect_object() const;
    Status expect_array() const;
    Result<std::string> text() const;
    Result<bool> boolean() const;
    /// Returns an integer in [0, limit).
    Result<std::int64_t> index_below(std::int64_t limit) const;

    Result<std::string> text_member(std::string_view key) const;
    Result<bool> boolean_member(std::string_view key) const;
    /// Returns `otherwise` if the key is missing or null.
    Result<bool> boolean_member_or(std::string_view key, bool otherwise) const;

private:
    Status unexpected(std::string_view wanted) const;

    const nlohmann::json* value_;
    std::string path_;
};

/// Parses `json` without exceptions. Refuses nesting deeper than limits::kMaxJsonDepth. The message
/// of a syntax error has its position.
Result<nlohmann::json> parse_json(std::string_view json);

}  // namespace molink
