// Finds the files of a model folder. Folders differ with the version of transformers that wrote
// them. A missing file is an error only when it is needed: a worker reads no tokenizer, and a head
// without a stage reads no weights.
#include "loader/model_folder.h"

#include "base/error.h"
#include "base/input_file.h"
#include "base/limits.h"
#include "loader/checkpoint.h"
#include "loader/model_files.h"

namespace molink {
Result<ModelFolder> ModelFolder::open(const std::filesystem::path& dir) {
    MOLINK_ASSIGN_OR_RETURN(ConfigFile config, ConfigFile::load(dir));
    return ModelFolder(dir, std::move(config));
}

std::optional<std::string> ModelFolder::tokenizer_file() const {
    const std::filesystem::path path = dir_ / model_files::kTokenizer;
    std::error_code error;
    if (!std::filesystem::exists(path, error)) return std::nullopt;
    return path.string();
}

Result<GenerationDefaults> ModelFolder::generation_defaults() const {
    GenerationDefaults defaults;
    const std::optional<ConfigObject>& file = config_.generation();
    if (!file) return defaults;
    MOLINK_ASSIGN_OR_RETURN(defaults.samples, file->optional_boolean("do_sample"));
    MOLINK_ASSIGN_OR_RETURN(defaults.temperature, file->optional_number("temperature", 0, 100));
    MOLINK_ASSIGN_OR_RETURN(defaults.top_k,
                            file->optional_int64("top_k", 0, limits::kMaxVocabulary));
    MOLINK_ASSIGN_OR_RETURN(defaults.top_p, file->optional_number("top_p", 0, 1));
    MOLINK_ASSIGN_OR_RETURN(defaults.min_p, file->optional_number("min_p", 0, 1));
    MOLINK_ASSIGN_OR_RETURN(defaults.repetition_penalty,
                            file->optional_number("repetition_penalty", 0, 100));
    return defaults;
}

Result<std::optional<std::string>> ModelFolder::chat_template() const {
    constexpr std::string_view kKey = "chat_template";
    std::error_code error;
    if (std::filesystem::exists(dir_ / model_files::kChatTemplate, error)) {
        MOLINK_ASSIGN_OR_RETURN(std::string text, read_file_text(dir_ / model_files::kChatTemplate,
                                                                 limits::kMaxConfigFileBytes));
        return std::optional<std::string>(std::move(text));
    }
    if (!std::filesystem::exists(dir_ / model_files::kTokenizerConfig, error)) {
        return std::optional<std::string>();
    }
    MOLINK_ASSIGN_OR_RETURN(const ConfigObject tokenizer,
                            ConfigObject::load(dir_ / model_files::kTokenizerConfig));
    if (!tokenizer.has(kKey) || !tokenizer.is_list(kKey)) return tokenizer.optional_string(kKey);
    MOLINK_ASSIGN_OR_RETURN(const auto list, tokenizer.object_list(kKey));
    for (const ConfigObject& item : list) {
        MOLINK_ASSIGN_OR_RETURN(const std::string name, item.string("name"));
        if (name == "default") return item.optional_string("template");
    }
    return std::optional<std::string>();
}

Result<std::unique_ptr<WeightSource>> ModelFolder::open_weights() const {
    MOLINK_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::open(dir_));
    return std::unique_ptr<WeightSource>(std::make_unique<Checkpoint>(std::move(checkpoint)));
}

}  // namespace molink
