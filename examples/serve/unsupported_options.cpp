// The options that are refused by name. Silence would be wrong: a client that asks for JSON and
// gets prose, or asks for the best of five and gets the first, cannot know it. The names are those
// of OpenAI's API, of vLLM, of llama.cpp and of text-generation-inference.
#include "serve/unsupported_options.h"

#include <algorithm>
#include <charconv>

namespace molink::examples {
namespace {

constexpr UnsupportedOption kOptions[] = {
    // Form of the output
    {"response_format", ""},
    {"structured_outputs", ""},
    {"guided_json", ""},
    {"guided_regex", ""},
    {"guided_choice", ""},
    {"guided_grammar", ""},
    {"guided_json_object", ""},
    {"guided_whitespace_pattern", ""},
    {"guided_decoding", ""},
    {"grammar", ""},
    {"json_schema", ""},
    {"regex", ""},
    {"logits_processors", ""},
    {"allowed_token_ids", ""},
    {"bad_words", ""},
    // Tools and chat
    {"messages", ""},
    {"tools", ""},
    {"tool_choice", "none|auto"},
    {"functions", ""},
    {"function_call", "none|auto"},
    {"chat_template", ""},
    {"chat_template_kwargs", ""},
    {"modalities", ""},
    {"audio", ""},
    {"reasoning_effort", ""},
    {"max_completion_tokens", ""},
    // Search and sampling
    {"use_beam_search", ""},
    {"beam_width", "1"},
    {"num_beams", "1"},
    {"length_penalty", "1"},
    {"early_stopping", ""},
    {"typical_p", "1"},
    {"top_a", "0"},
    {"tfs", "1"},
    {"tfs_z", "1"},
    {"eta_cutoff", "0"},
    {"epsilon_cutoff", "0"},
    {"mirostat", "0"},
    {"mirostat_mode", "0"},
    {"dynatemp_range", "0"},
    {"smoothing_factor", "0"},
    {"dry_multiplier", "0"},
    {"xtc_probability", "0"},
    {"no_repeat_ngram_size", "0"},
    {"encoder_repetition_penalty", "1"},
    {"watermark", ""},
    // Prompt and text
    {"echo", ""},
    {"suffix", ""},
    {"prompt_embeds", ""},
    {"prompt_logprobs", ""},
    {"truncate_prompt_tokens", ""},
    {"truncate", ""},
    {"add_special_tokens", "true"},
    {"skip_special_tokens", "true"},
    {"spaces_between_special_tokens", "true"},
    {"include_stop_str_in_output", ""},
    {"return_tokens_as_token_ids", ""},
    {"detokenize", "true"},
};

bool has_word(std::string_view words, std::string_view word) {
    while (!words.empty()) {
        const std::size_t end = std::min(words.find('|'), words.size());
        if (words.substr(0, end) == word) return true;
        words.remove_prefix(std::min(end + 1, words.size()));
    }
    return false;
}

bool is_number(std::string_view text, double value) {
    int number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    return read.ec == std::errc() && value == number;
}

}  // namespace

const UnsupportedOption* find_unsupported(std::string_view name) {
    const auto found =
        std::find_if(std::begin(kOptions), std::end(kOptions),
                     [name](const UnsupportedOption& option) { return option.name == name; });
    return found == std::end(kOptions) ? nullptr : found;
}

bool is_neutral(const UnsupportedOption& option, const JsonScalar& value) {
    if (std::holds_alternative<std::monostate>(value)) return true;
    if (const bool* flag = std::get_if<bool>(&value)) return *flag == (option.neutral == "true");
    if (const auto* text = std::get_if<std::string>(&value)) {
        return text->empty() || has_word(option.neutral, *text);
    }
    const auto* integer = std::get_if<std::int64_t>(&value);
    return is_number(option.neutral,
                     integer != nullptr ? static_cast<double>(*integer) : std::get<double>(value));
}

}  // namespace molink::examples
