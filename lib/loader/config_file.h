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

/// One object of a configuration file, read with checks. A cheap handle that keeps its file alive.
/// A key that is null counts as missing. Every error names the file, the key (with the objects
/// around it), the value found and what is permitted. Errors: not_found (missing), invalid_argument
/// (wrong type, out of range). Immutable; any thread.
class ConfigObject {
public:
    static constexpr std::int64_t kMinInt = std::numeric_limits<std::int64_t>::min();
    static constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();
    static constexpr double kMaxNumber = std::numeric_limits<double>::max();

    /// Reads a file. Errors: as ConfigFile::load.
    static Result<ConfigObject> load(const std::filesystem::path& file);

    /// Present and not null.
    bool has(std::string_view key) const;
    /// The keys, sorted.
    std::vector<std::string> keys() const;
    /// For messages: the file and the objects around this one, "DIR/config.json: rope_scaling".
    std::string where() const;

    /// An integer in [min, max]; a fraction is an error.
    Result<std::int64_t> int64(std::string_view key, std::int64_t min = kMinInt,
                               std::int64_t max = kMaxInt) const;
    Result<std::optional<std::int64_t>> optional_int64(std::string_view key,
                                                       std::int64_t min = kMinInt,
                                                       std::int64_t max = kMaxInt) const;
    /// An integer or a fraction in [min, max]; always finite.
    Result<double> number(std::string_view key, double min = -kMaxNumber,
                          double max = kMaxNumber) const;
    Result<std::optional<double>> optional_number(std::string_view key, double min = -kMaxNumber,
                                                  double max = kMaxNumber) const;
    Result<bool> boolean(std::string_view key) const;
    Result<std::optional<bool>> optional_boolean(std::string_view key) const;
    Result<std::string> string(std::string_view key) const;
    Result<std::optional<std::string>> optional_string(std::string_view key) const;
    Result<std::vector<std::string>> string_list(std::string_view key) const;
    /// A list of integers in [min, max], or one integer, which is taken for a list of one; missing
    /// gives an empty list.
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
    std::string path_;            // of keys, "rope_scaling"; empty at the top

    friend struct ConfigAccess;
};

/// config.json of a model folder, with generation_config.json beside it when there is one.
class ConfigFile : public ConfigObject {
public:
    /// Reads both files. Errors: not_found, data_loss (not JSON, not an object, duplicate keys, too
    /// large, too deep).
    static Result<ConfigFile> load(const std::filesystem::path& dir);

    /// generation_config.json; nullopt when the folder has none.
    const std::optional<ConfigObject>& generation() const { return generation_; }

    /// Tokens that end a sequence: eos_token_id of generation_config.json, else of config.json; a
    /// number or a list; may be empty. Errors when one is not in [0, vocabulary).
    Result<std::vector<Token>> eos_tokens(std::int64_t vocabulary) const;
    /// bos_token_id, looked up in the same way; -1 when there is none.
    Result<Token> bos_token(std::int64_t vocabulary) const;

    /// The content of config.json in one form: sorted keys, no blanks, independent of how it was
    /// laid out.
    std::string canonical_text() const;

private:
    explicit ConfigFile(ConfigObject root) : ConfigObject(std::move(root)) {}

    std::optional<ConfigObject> generation_;
};

}  // namespace molink
