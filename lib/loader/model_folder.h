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

/// Sampling defaults of a model's authors. Values that they do not state are empty.
struct GenerationDefaults {
    std::optional<bool> samples;  ///< false: greedy, regardless of the other values
    std::optional<double> temperature;
    std::optional<std::int64_t> top_k;
    std::optional<double> top_p;
    std::optional<double> min_p;
    std::optional<double> repetition_penalty;
};

/// A folder with a model as transformers writes it. Only this class knows the contents of its
/// files. Immutable and therefore thread-safe.
class ModelFolder {
public:
    /// Reads the configuration. Errors: those of ConfigFile::load.
    static Result<ModelFolder> open(const std::filesystem::path& dir);

    const std::filesystem::path& dir() const { return dir_; }
    const ConfigFile& config() const { return config_; }
    /// Returns the path of the tokenizer file, or nothing if there is none.
    std::optional<std::string> tokenizer_file() const;
    /// Reads the sampling defaults. Errors: invalid_argument (type or range of a value).
    Result<GenerationDefaults> generation_defaults() const;
    /// Returns the Jinja template that turns a conversation into a prompt, or nothing if there is
    /// none. It is a separate file or, in older folders, a value in the tokenizer's configuration.
    /// Of several named templates, returns "default". Errors: data_loss, invalid_argument.
    Result<std::optional<std::string>> chat_template() const;
    /// Opens the weights. Errors: those of Checkpoint::open.
    Result<std::unique_ptr<WeightSource>> open_weights() const;

private:
    ModelFolder(std::filesystem::path dir, ConfigFile config)
        : dir_(std::move(dir)), config_(std::move(config)) {}

    std::filesystem::path dir_;
    ConfigFile config_;
};

}  // namespace molink
