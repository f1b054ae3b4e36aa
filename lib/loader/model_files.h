#pragma once

/// Names of the files of a model folder, as transformers writes them.
namespace molink::model_files {

inline constexpr const char* kConfig = "config.json";
inline constexpr const char* kGeneration = "generation_config.json";
inline constexpr const char* kTokenizer = "tokenizer.json";
inline constexpr const char* kTokenizerConfig = "tokenizer_config.json";
inline constexpr const char* kChatTemplate = "chat_template.jinja";
inline constexpr const char* kWeights = "model.safetensors";
inline constexpr const char* kWeightIndex = "model.safetensors.index.json";

}  // namespace molink::model_files
