#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// One object of a configuration file with checked reads. It is a cheap handle that keeps its file
/// alive. A key with the value null counts as missing. Every error names the file, the path of the
/// key, the value and the permitted values. Errors: not_found (missing), invalid_argument (wrong
/// type or out of range). Immutable and therefore thread-safe.
class ConfigObject {
public:
    static constexpr std::int64_t kMinInt = std::numeric_limits<std::int64_t>::min();
    static constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();
    static constexpr double kMaxNumber = std::numeric_limits<double>::max();

    /// Reads a file. Errors: those of ConfigFile::load.
    static Result<ConfigObject> load(const std::filesystem::path& file);

    /// Returns whether the key is present and not null.
    bool has(std::string_view key) const;
    /// Returns the keys, sorted.
    std::vector<std::string> keys() const;
    /// Returns the file and the path of this object for messages: "DIR/config.json: rope_scaling".
    std::string where() const;
    /// Returns the object in a canonical form with sorted keys and without blanks. It does not
    /// depend on the layout of the file.
    std::string canonical_text() const;

    /// Returns an integer in [min, max]. A fraction is an error.
    Result<std::int64_t> int64(std::string_view key, std::int64_t min = kMinInt,
                               std::int64_t max = kMaxInt) const;
    Result<std::optional<std::int64_t>> optional_int64(std::string_view key,
                                                       std::int64_t min = kMinInt,
                                                       std::int64_t max = kMaxInt) const;
    /// Returns a finite number in [min, max], with or without a fraction.
    Result<double> number(std::string_view key, double min = -kMaxNumber,
                          double max = kMaxNumber) const;
    Result<std::optional<double>> optional_number(std::string_view key, double min = -kMaxNumber,
                                                  double max = kMaxNumber) const;
    Result<bool> boolean(std::string_view key) const;
    Result<std::optional<bool>> optional_boolean(std::string_view key) const;
    Result<std::string> string(std::string_view key) const;
    Result<std::optional<std::string>> optional_string(std::string_view key) const;
    Result<std::vector<std::string>> string_list(std::string_view key) const;
    /// Returns a list of integers in [min, max]. A single integer counts as a list of one. A
    /// missing key gives an empty list.
    Result<std::vector<std::int64_t>> int64_list(std::string_view key, std::int64_t min = kMinInt,
                                                 std::int64_t max = kMaxInt) const;
    bool is_list(std::string_view key) const;
    Result<std::vector<ConfigObject>> object_list(std::string_view key) const;
    Result<ConfigObject> object(std::string_view key) const;
    Result<std::optional<ConfigObject>> optional_object(std::string_view key) const;

protected:
    struct Document;
    ConfigObject(std::shared_ptr<const Document> document, const void* node, std::string path)
        : document_(std::move(document)), node_(node), path_(std::move(path)) {}

    std::shared_ptr<const Document> document_;
    const void* node_ = nullptr;  // a JSON object inside the document
    std::string path_;            // path of keys, such as "rope_scaling"; empty at the top

    friend struct ConfigAccess;
};

/// The config.json of a model folder, and its generation_config.json if there is one.
class ConfigFile : public ConfigObject {
public:
    /// Reads both files. Errors: not_found, data_loss (not JSON, not an object, duplicate keys, too
    /// large, or too deeply nested).
    static Result<ConfigFile> load(const std::filesystem::path& dir);

    /// The generation_config.json, or nullopt if the folder has none.
    const std::optional<ConfigObject>& generation() const { return generation_; }

    /// Returns the tokens that end a sequence: eos_token_id of generation_config.json, or otherwise
    /// of config.json. It may be a number or a list, and the result may be empty. Errors: a token
    /// is not in [0, vocabulary).
    Result<std::vector<Token>> eos_tokens(std::int64_t vocabulary) const;
    /// Returns bos_token_id from the same files, or -1 if there is none.
    Result<Token> bos_token(std::int64_t vocabulary) const;
    /// Returns a warning for each of these keys about which the two files disagree. A longer list
    /// of tokens that end a sequence in generation_config.json is no disagreement.
    Result<std::vector<std::string>> disagreements() const;

private:
    explicit ConfigFile(ConfigObject root) : ConfigObject(std::move(root)) {}

    std::optional<ConfigObject> generation_;
};

}  // namespace molink
