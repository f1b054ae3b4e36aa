// The members of POST /v1/completions. Each is checked for type and range when it is read, so that
// an error names the member and its value, and nothing that is refused is stored. Checks that the
// engine makes are repeated only where lists would be copied for every prompt.
#include "serve/completion_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "serve/unsupported_options.h"

namespace molink::examples {
namespace {

constexpr std::size_t kMostPrompts = 256;
constexpr std::size_t kMostPromptTokens = 1u << 24;
// Limits of the engine. They are checked before each prompt gets its own copy, because 256 prompts
// with a list of a million entries each would need too much memory.
constexpr std::size_t kMostStops = 16;
constexpr std::size_t kMostStopBytes = 256;
constexpr std::size_t kMostStopTokens = 64;
constexpr std::size_t kMostBiases = 1024;
constexpr std::int64_t kMostInt = std::numeric_limits<std::int32_t>::max();
/// top_p 0 keeps the most likely token, as the smallest positive value does.
constexpr float kLeastTopP = 1e-9f;

/// Members that are read here; all others are unsupported or change nothing.
constexpr std::string_view kMembers[] = {
    "model",
    "prompt",
    "max_tokens",
    "min_tokens",
    "n",
    "best_of",
    "logprobs",
    "ignore_eos",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "min_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "stop_token_ids",
    "logit_bias",
    "repetition_penalty",
};

bool is_member(std::string_view key) {
    return std::find(std::begin(kMembers), std::end(kMembers), key) != std::end(kMembers);
}

bool is_null(const JsonScalar& value) {
    return std::holds_alternative<std::monostate>(value);
}

/// Returns the integer, also of 6.0. Nothing for other values, and for integers of 2^63 and more.
std::optional<std::int64_t> integer_of(const JsonScalar& value) {
    if (const auto* exact = std::get_if<std::int64_t>(&value)) return *exact;
    const auto* real = std::get_if<double>(&value);
    if (real == nullptr || std::trunc(*real) != *real) return std::nullopt;
    if (!(*real >= -0x1p63 && *real < 0x1p63)) return std::nullopt;
    return static_cast<std::int64_t>(*real);
}

}  // namespace

CompletionReader::CompletionReader(CompletionRequest& out) : out_(out) {
    common_.max_tokens = 16;
    common_.sampling.temperature = 1;
}

bool CompletionReader::fail(std::string_view key, const std::string& what) {
    if (error_) return false;
    error_.emplace();
    error_->message = fmt::format("'{}' {}", key, what);
    error_->param = key;
    return false;
}

bool CompletionReader::fail_body(const std::string& what) {
    if (!error_) error_.emplace().message = what;
    return false;
}

bool CompletionReader::member(std::string key) {
    key_ = std::move(key);
    if (!is_member(key_) && find_unsupported(key_) == nullptr) return true;
    return known_.insert(key_).second || fail(key_, "is given twice");
}

bool CompletionReader::number(const JsonScalar& value, double low, double high, float& to) {
    double read = 0;
    if (const auto* exact = std::get_if<std::int64_t>(&value)) {
        read = static_cast<double>(*exact);
    } else if (const auto* real = std::get_if<double>(&value)) {
        read = *real;
    } else {
        return fail(key_, "must be a number");
    }
    if (!(read >= low && read <= high)) {
        return fail(key_, fmt::format("is {}; {} to {} are permitted", read, low, high));
    }
    to = static_cast<float>(read);
    return true;
}

template <typename T>
bool CompletionReader::integer(const JsonScalar& value, std::int64_t low, std::int64_t high,
                               T& to) {
    const auto read = integer_of(value);
    if (!read) return fail(key_, fmt::format("must be an integer, {} to {}", low, high));
    if (*read < low || *read > high) {
        return fail(key_, fmt::format("is {}; {} to {} are permitted", *read, low, high));
    }
    to = static_cast<T>(*read);
    return true;
}

bool CompletionReader::boolean(const JsonScalar& value, bool& to) {
    const bool* flag = std::get_if<bool>(&value);
    if (flag == nullptr) return fail(key_, "must be true or false");
    to = *flag;
    return true;
}

bool CompletionReader::sampling_scalar(const JsonScalar& value) {
    SamplingParams& sampling = common_.sampling;
    if (is("temperature")) return number(value, 0, 100, sampling.temperature);
    if (is("min_p")) return number(value, 0, 1, sampling.min_p);
    if (is("presence_penalty")) return number(value, -2, 2, sampling.presence_penalty);
    if (is("frequency_penalty")) return number(value, -2, 2, sampling.frequency_penalty);
    if (is("repetition_penalty")) return number(value, 1e-3, 100, sampling.repetition_penalty);
    if (is("top_p")) {
        const bool read = number(value, 0, 1, sampling.top_p);
        sampling.top_p = std::max(sampling.top_p, kLeastTopP);
        return read;
    }
    if (is("top_k")) {
        const bool read = integer(value, -1, kMostInt, sampling.top_k);
        sampling.top_k = std::max(sampling.top_k, 0);
        return read;
    }
    if (is("seed")) {
        std::int64_t seed = 0;
        const bool read = integer(value, std::numeric_limits<std::int64_t>::min(),
                                  std::numeric_limits<std::int64_t>::max(), seed);
        sampling.seed = static_cast<std::uint64_t>(seed);
        return read;
    }
    return fail(key_, "must be an object");  // logit_bias
}

bool CompletionReader::common_scalar(JsonScalar& value) {
    if (is("max_tokens")) return integer(value, 1, kMostInt, common_.max_tokens);
    if (is("min_tokens")) return integer(value, 0, kMostInt, common_.min_tokens);
    if (is("n")) return integer(value, 1, 64, common_.n);
    if (is("best_of")) return integer(value, 1, kMostInt, best_of_);
    if (is("logprobs")) return integer(value, 0, 20, common_.logprobs);
    if (is("ignore_eos")) return boolean(value, common_.ignore_eos);
    if (is("stream")) return boolean(value, out_.stream);
    if (is("stop")) return add_stop(std::move(value));
    if (is("stream_options")) return fail(key_, "must be an object");
    if (is("stop_token_ids")) return fail(key_, "must be a list of token ids");
    return sampling_scalar(value);
}

bool CompletionReader::scalar(JsonScalar value) {
    if (const auto* option = find_unsupported(key_)) {
        return is_neutral(*option, value) || fail(key_, "is not supported");
    }
    if (!is_member(key_) || is_null(value)) return true;
    auto* text = std::get_if<std::string>(&value);
    if (is("model")) {
        if (text == nullptr) return fail(key_, "is required and must be a string");
        out_.model = std::move(*text);
        return has_model_ = true;
    }
    if (is("prompt")) {
        if (text == nullptr) return wrong_prompt();
        if (!add_prompt()) return false;
        out_.prompts.back().prompt = std::move(*text);
        return true;
    }
    return common_scalar(value);
}

// ---- Lists and objects -------------------------------------------------------------------------

bool CompletionReader::begin_list() {
    if (is("prompt") || is("stop") || is("stop_token_ids")) return true;
    if (is("model")) return fail(key_, "is required and must be a string");
    return !is_member(key_) || fail(key_, "must not be a list");
}

bool CompletionReader::begin_object() {
    if (is("stream_options")) has_stream_options_ = true;
    if (is("stream_options") || is("logit_bias")) return true;
    if (is("prompt")) return wrong_prompt();
    return !is_member(key_) || fail(key_, "must not be an object");
}

bool CompletionReader::end_list() {
    return !is("prompt") || !out_.prompts.empty() || wrong_prompt();
}

bool CompletionReader::item(JsonScalar value) {
    if (is("stop")) return add_stop(std::move(value));
    if (is("stop_token_ids")) {
        if (common_.stop_tokens.size() == kMostStopTokens) {
            return fail(key_, fmt::format("has more than {} entries", kMostStopTokens));
        }
        return add_token(value, common_.stop_tokens) || fail(key_, "must be a list of token ids");
    }
    if (is("prompt")) return prompt_item(std::move(value));
    return find_unsupported(key_) == nullptr || fail(key_, "is not supported");
}

bool CompletionReader::prompt_item(JsonScalar value) {
    auto* text = std::get_if<std::string>(&value);
    const PromptList kind = text != nullptr ? PromptList::prompts : PromptList::tokens;
    if (prompt_list_ != PromptList::empty && prompt_list_ != kind) return wrong_prompt();
    const bool is_first = prompt_list_ == PromptList::empty;
    prompt_list_ = kind;
    if ((text != nullptr || is_first) && !add_prompt()) return false;
    if (text == nullptr) {
        return add_token(value, out_.prompts.back().prompt_tokens) || wrong_prompt();
    }
    out_.prompts.back().prompt = std::move(*text);
    return true;
}

bool CompletionReader::begin_inner_list() {
    if (is("prompt")) {
        if (prompt_list_ == PromptList::tokens) return wrong_prompt();
        prompt_list_ = PromptList::prompts;
        return add_prompt();
    }
    if (is("stop")) return fail(key_, "must be a string or a list of strings");
    if (is("stop_token_ids")) return fail(key_, "must be a list of token ids");
    return find_unsupported(key_) == nullptr || fail(key_, "is not supported");
}

bool CompletionReader::inner_item(JsonScalar value) {
    if (!is("prompt")) return true;
    return add_token(value, out_.prompts.back().prompt_tokens) || wrong_prompt();
}

bool CompletionReader::end_inner_list() {
    return !is("prompt") || !out_.prompts.back().prompt_tokens.empty() || wrong_prompt();
}

bool CompletionReader::pair(const std::string& key, const JsonScalar& value, bool composite) {
    if (is("stream_options")) return stream_option(key, value, composite);
    if (is("logit_bias")) {
        Token token = -1;
        const char* end = key.data() + key.size();
        const auto read = std::from_chars(key.data(), end, token);
        const bool whole = read.ec == std::errc() && read.ptr == end && token >= 0;
        float bias = 0;
        const bool is_number = !composite && (std::holds_alternative<std::int64_t>(value) ||
                                              std::holds_alternative<double>(value));
        if (!whole || !is_number) {
            return fail(key_, fmt::format("must map token ids to numbers; '{}' does not",
                                          key.substr(0, 32)));
        }
        if (common_.sampling.logit_bias.size() == kMostBiases) {
            return fail(key_, fmt::format("has more than {} entries", kMostBiases));
        }
        if (!number(value, -100, 100, bias)) return false;
        common_.sampling.logit_bias.push_back({token, bias});
        return true;
    }
    const auto* text = std::get_if<std::string>(&value);
    const bool plain_text = is("response_format") && key == "type" && text && *text == "text";
    return find_unsupported(key_) == nullptr || plain_text || fail(key_, "is not supported");
}

bool CompletionReader::stream_option(const std::string& key, const JsonScalar& value,
                                     bool composite) {
    const bool usage = key == "include_usage";
    if (!usage && key != "continuous_usage_stats") return true;
    if (is_null(value) && !composite) return true;
    const bool* flag = std::get_if<bool>(&value);
    if (flag == nullptr) {
        return fail(key_, fmt::format("has a '{}' that is not true or false", key));
    }
    if (usage) out_.include_usage = *flag;
    return usage || !*flag || fail(key_, "has 'continuous_usage_stats', which is not supported");
}

bool CompletionReader::wrong_prompt() {
    return fail("prompt", "must be a string, a list of token ids, or a list of these");
}

bool CompletionReader::add_prompt() {
    if (out_.prompts.size() == kMostPrompts) {
        return fail("prompt", fmt::format("has more than {} entries", kMostPrompts));
    }
    out_.prompts.emplace_back();
    return true;
}

bool CompletionReader::add_token(const JsonScalar& value, std::vector<Token>& to) {
    const auto token = integer_of(value);
    if (!token || to.size() == kMostPromptTokens) return false;
    if (*token < std::numeric_limits<Token>::min() || *token > kMostInt) return false;
    to.push_back(static_cast<Token>(*token));
    return true;
}

bool CompletionReader::add_stop(JsonScalar value) {
    auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return fail(key_, "must be a string or a list of strings");
    if (text->empty()) return true;  // it would end nothing
    if (text->size() > kMostStopBytes) {
        return fail(key_, fmt::format("is {} bytes long; at most {} are permitted", text->size(),
                                      kMostStopBytes));
    }
    if (common_.stop.size() == kMostStops) {
        return fail(key_, fmt::format("has more than {} entries", kMostStops));
    }
    common_.stop.push_back(std::move(*text));
    return true;
}

bool CompletionReader::finish() {
    if (error_) return false;
    if (!has_model_) return fail("model", "is required and must be a string");
    if (out_.prompts.empty()) return fail("prompt", "is required");
    if (best_of_ != 0 && best_of_ != common_.n) {
        return fail("best_of", "other than n is not supported");
    }
    if (has_stream_options_ && !out_.stream) return fail("stream_options", "needs stream");
    for (GenerateRequest& request : out_.prompts) {
        GenerateRequest whole = common_;
        whole.prompt = std::move(request.prompt);
        whole.prompt_tokens = std::move(request.prompt_tokens);
        request = std::move(whole);
    }
    return true;
}

}  // namespace molink::examples
