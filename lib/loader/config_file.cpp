// Checked access to config.json. Its values are sizes of buffers and loops elsewhere, so every read
// states a range, and an error says what is wrong and what is permitted. The JSON library is hidden
// behind an opaque document that handles share. Relies on parse_json for depth, duplicates and
// UTF-8.
#include "loader/config_file.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/limits.h"
#include "loader/json_parse.h"
#include "loader/model_files.h"

namespace molink {

using nlohmann::json;

struct ConfigObject::Document {
    std::string file;
    json root;
};

// Gives functions of this file access to the members of a handle.
struct ConfigAccess {
    static const json& node(const ConfigObject& object) {
        return *static_cast<const json*>(object.node_);
    }

    static const json* find(const ConfigObject& object, std::string_view key) {
        const json& members = node(object);
        const auto it = members.find(key);
        return it == members.end() || it->is_null() ? nullptr : &*it;
    }

    static std::string key_name(const ConfigObject& object, std::string_view key) {
        const std::string prefix = object.path_.empty() ? "" : object.path_ + ".";
        return object.document_->file + ": " + prefix + std::string(key);
    }

    static ConfigObject child(const ConfigObject& object, const json& value, std::string_view key) {
        const std::string prefix = object.path_.empty() ? "" : object.path_ + ".";
        return ConfigObject(object.document_, &value, prefix + std::string(key));
    }

    static Result<ConfigObject> load(const std::string& path) {
        MOLINK_ASSIGN_OR_RETURN(json root, parse_json_file(path, limits::kMaxConfigFileBytes));
        if (!root.is_object()) {
            return make_error(StatusCode::data_loss, "parse {}: expected a JSON object, found {}",
                              path, root.type_name());
        }
        auto document = std::make_shared<ConfigObject::Document>();
        document->file = path;
        document->root = std::move(root);
        const json* node = &document->root;
        return ConfigObject(std::move(document), node, "");
    }
};

namespace {

std::string shown(const json& value) {
    return printable(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

Status missing(const ConfigObject& object, std::string_view key) {
    return make_error(StatusCode::not_found, "{} is missing", ConfigAccess::key_name(object, key));
}

Status wrong(const ConfigObject& object, std::string_view key, const json& value,
             std::string_view expected) {
    return invalid_argument("{} is {}, expected {}", ConfigAccess::key_name(object, key),
                            shown(value), expected);
}

std::string int_range(std::int64_t min, std::int64_t max) {
    return fmt::format("an integer in [{}, {}]", min, max);
}

// Returns the integer in `value`, or nullopt if it is not an integer in [min, max].
std::optional<std::int64_t> integer_in(const json& value, std::int64_t min, std::int64_t max) {
    if (value.is_number_unsigned()) {
        const auto number = value.get<std::uint64_t>();
        if (number > static_cast<std::uint64_t>(ConfigObject::kMaxInt)) return std::nullopt;
        const auto signed_number = static_cast<std::int64_t>(number);
        if (signed_number < min || signed_number > max) return std::nullopt;
        return signed_number;
    }
    if (!value.is_number_integer()) return std::nullopt;
    const auto number = value.get<std::int64_t>();
    if (number < min || number > max) return std::nullopt;
    return number;
}

// Returns nullopt for a missing key. Otherwise calls `read`.
template <typename T, typename Read>
Result<std::optional<T>> if_present(const ConfigObject& object, std::string_view key, Read read) {
    if (!object.has(key)) return std::optional<T>();
    Result<T> value = read();
    if (!value) return value.error();
    return std::optional<T>(std::move(value).value());
}

}  // namespace

bool ConfigObject::has(std::string_view key) const {
    return ConfigAccess::find(*this, key) != nullptr;
}

std::vector<std::string> ConfigObject::keys() const {
    std::vector<std::string> names;
    for (const auto& item : ConfigAccess::node(*this).items()) names.push_back(item.key());
    return names;
}

std::string ConfigObject::where() const {
    return path_.empty() ? document_->file : document_->file + ": " + path_;
}

Result<std::int64_t> ConfigObject::int64(std::string_view key, std::int64_t min,
                                         std::int64_t max) const {
    const json* value = ConfigAccess::find(*this, key);
    if (value == nullptr) return missing(*this, key);
    const std::optional<std::int64_t> number = integer_in(*value, min, max);
    if (!number) return wrong(*this, key, *value, int_range(min, max));
    return *number;
}

Result<std::optional<std::int64_t>> ConfigObject::optional_int64(std::string_view key,
                                                                 std::int64_t min,
                                                                 std::int64_t max) const {
    return if_present<std::int64_t>(*this, key, [&] { return int64(key, min, max); });
}

Result<double> ConfigObject::number(std::string_view key, double min, double max) const {
    const json* value = ConfigAccess::find(*this, key);
    if (value == nullptr) return missing(*this, key);
    const double number = value->is_number() ? value->get<double>() : std::nan("");
    if (!(number >= min && number <= max) || !std::isfinite(number)) {
        return wrong(*this, key, *value, fmt::format("a number in [{}, {}]", min, max));
    }
    return number;
}

Result<std::optional<double>> ConfigObject::optional_number(std::string_view key, double min,
                                                            double max) const {
    return if_present<double>(*this, key, [&] { return number(key, min, max); });
}

Result<bool> ConfigObject::boolean(std::string_view key) const {
    const json* value = ConfigAccess::find(*this, key);
    if (value == nullptr) return missing(*this, key);
    if (!value->is_boolean()) return wrong(*this, key, *value, "true or false");
    return value->get<bool>();
}

Result<std::optional<bool>> ConfigObject::optional_boolean(std::string_view key) const {
    return if_present<bool>(*this, key, [&] { return boolean(key); });
}

Result<std::string> ConfigObject::string(std::string_view key) const {
    const json* value = ConfigAccess::find(*this, key);
    if (value == nullptr) return missing(*this, key);
    if (!value->is_string()) return wrong(*this, key, *value, "a string");
    return value->get_ref<const std::string&>();
}

Result<std::optional<std::string>> ConfigObject::optional_string(std::string_view key) const {
    return if_present<std::string>(*this, key, [&] { return string(key); });
}

Result<std::vector<std::string>> ConfigObject::string_list(std::string_view key) const {
    const json* value = ConfigAccess::find(*this, key);
    if (value == nullptr) return missing(*this, key);
    if (!value->is_array()) return wrong(*this, key, *value, "a list of strings");
    std::vector<std::string> list;
    for (const json& element : *value) {
        if (!element.is_string()) return wrong(*this, key, *value, "a list of strings");
        list.push_back(element.get_ref<const std::string&>());
    }
    return list;
}

Result<std::vector<std::int64_t>> ConfigObject::int64_list(std::string_view key, std::int64_t min,
                                                           std::int64_t max) const {
    const json* value = ConfigAccess::find(*this, key);
    std::vector<std::int64_t> list;
    if (value == nullptr) return list;
    const auto add = [&](const json& element) {
        const std::optional<std::int64_t> number = integer_in(element, min, max);
        if (number) list.push_back(*number);
        return number.has_value();
    };
    bool good = true;
    if (value->is_array()) {
        for (const json& element : *value) good = good && add(element);
    } else {
        good = add(*value);
    }
    if (!good) return wrong(*this, key, *value, int_range(min, max) + ", or a list of them");
    return list;
}

bool ConfigObject::is_list(std::string_view key) const {
    const json* value = ConfigAccess::find(*this, key);
    return value != nullptr && value->is_array();
}

Result<std::vector<ConfigObject>> ConfigObject::object_list(std::string_view key) const {
    const json* value = ConfigAccess::find(*this, key);
    if (value == nullptr) return missing(*this, key);
    if (!value->is_array()) return wrong(*this, key, *value, "a list of objects");
    std::vector<ConfigObject> list;
    for (const json& element : *value) {
        if (!element.is_object()) return wrong(*this, key, *value, "a list of objects");
        list.push_back(ConfigAccess::child(*this, element, key));
    }
    return list;
}

Result<ConfigObject> ConfigObject::object(std::string_view key) const {
    const json* value = ConfigAccess::find(*this, key);
    if (value == nullptr) return missing(*this, key);
    if (!value->is_object()) return wrong(*this, key, *value, "an object");
    return ConfigAccess::child(*this, *value, key);
}

Result<std::optional<ConfigObject>> ConfigObject::optional_object(std::string_view key) const {
    return if_present<ConfigObject>(*this, key, [&] { return object(key); });
}

Result<ConfigObject> ConfigObject::load(const std::filesystem::path& file) {
    return ConfigAccess::load(file.string());
}

Result<ConfigFile> ConfigFile::load(const std::filesystem::path& dir) {
    MOLINK_ASSIGN_OR_RETURN(ConfigObject root,
                            ConfigAccess::load((dir / model_files::kConfig).string()));
    ConfigFile config(std::move(root));
    Result<ConfigObject> generation = ConfigAccess::load((dir / model_files::kGeneration).string());
    if (generation) {
        config.generation_ = std::move(generation).value();
    } else if (generation.error().code() != StatusCode::not_found) {
        return generation.error();
    }
    return config;
}

Result<std::vector<Token>> ConfigFile::eos_tokens(std::int64_t vocabulary) const {
    constexpr std::string_view kKey = "eos_token_id";
    const ConfigObject& source = generation_ && generation_->has(kKey) ? *generation_ : *this;
    MOLINK_ASSIGN_OR_RETURN(const auto list, source.int64_list(kKey, 0, vocabulary - 1));
    return std::vector<Token>(list.begin(), list.end());
}

Result<Token> ConfigFile::bos_token(std::int64_t vocabulary) const {
    constexpr std::string_view kKey = "bos_token_id";
    const ConfigObject& source = generation_ && generation_->has(kKey) ? *generation_ : *this;
    MOLINK_ASSIGN_OR_RETURN(const auto token, source.optional_int64(kKey, 0, vocabulary - 1));
    return static_cast<Token>(token.value_or(-1));
}

Result<std::vector<std::string>> ConfigFile::disagreements() const {
    std::vector<std::string> warnings;
    if (!generation_) return warnings;
    for (const std::string_view key : {"eos_token_id", "bos_token_id"}) {
        MOLINK_ASSIGN_OR_RETURN(const auto ours, int64_list(key));
        MOLINK_ASSIGN_OR_RETURN(const auto theirs, generation_->int64_list(key));
        if (ours.empty() || theirs.empty()) continue;
        const bool included = std::all_of(ours.begin(), ours.end(), [&](std::int64_t token) {
            return std::find(theirs.begin(), theirs.end(), token) != theirs.end();
        });
        if (included) continue;
        warnings.push_back(
            fmt::format("{} is {}, but {} in {}; the latter is used",
                        ConfigAccess::key_name(*this, key), shown(*ConfigAccess::find(*this, key)),
                        shown(*ConfigAccess::find(*generation_, key)), generation_->where()));
    }
    return warnings;
}

std::string ConfigObject::canonical_text() const {
    return ConfigAccess::node(*this).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace molink
