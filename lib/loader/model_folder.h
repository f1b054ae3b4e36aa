#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <molink/status.h>

#include "loader/config_file.h"
#include "loader/weight_source.h"

namespace molink {

/// How a model's makers sample from it. What they do not say is empty.
struct GenerationDefaults {
    std::optional<bool> samples;  ///< false: greedy, whatever else is said
    std::optional<double> temperature;
    std::optional<std::int64_t> top_k;
    std::optional<double> top_p;
    std::optional<double> min_p;
    std::optional<double> repetition_penalty;
};

/// A folder with a model as transformers writes it: the one place that knows what is in which file.
/// Immutable; any thread.
class ModelFolder {
public:
    /// Reads the configuration. Errors: as ConfigFile::load.
    static Result<ModelFolder> open(const std::filesystem::path& dir);

    const std::filesystem::path& dir() const { return dir_; }
    const ConfigFile& config() const { return config_; }
    /// The tokenizer's file; nothing when the folder has none.
    std::optional<std::string> tokenizer_file() const;
    /// Errors: invalid_argument (type or range of a value).
    Result<GenerationDefaults> generation_defaults() const;
    /// The Jinja template that makes a prompt of a conversation: a file of its own or, in older
    /// folders, a value beside the tokenizer. Where several are named, the one called "default".
    /// Nothing when the folder has none. Errors: data_loss, invalid_argument.
    Result<std::optional<std::string>> chat_template() const;
    /// Errors: as Checkpoint::open.
    Result<std::unique_ptr<WeightSource>> open_weights() const;

private:
    ModelFolder(std::filesystem::path dir, ConfigFile config)
        : dir_(std::move(dir)), config_(std::move(config)) {}

    std::filesystem::path dir_;
    ConfigFile config_;
};

}  // namespace molink
