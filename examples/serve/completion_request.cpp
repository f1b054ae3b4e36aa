// Reads the body of POST /v1/completions. One small reader checks the type and range of every known
// member, so that an error names the member and its value. Checks that the engine makes are not
// repeated here.
#include "serve/completion_request.h"

#include <charconv>
#include <cstdint>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace molink::examples {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostPrompts = 256;
constexpr std::size_t kMostPromptTokens = 1u << 24;
// Limits of the engine. They are checked before each prompt gets its own copy, because 256 prompts
// with a list of a million entries each would need too much memory.
constexpr std::size_t kMostStops = 16;
constexpr std::size_t kMostStopBytes = 256;
constexpr std::size_t kMostStopTokens = 64;
constexpr std::size_t kMostBiases = 1024;

/// Reads the members of one JSON object. Keeps the first error.
class Members {
public:
    explicit Members(const Json& object) : object_(object) {}

    const std::optional<ApiError>& error() const { return error_; }

    const Json* find(const char* key) const {
        const auto found = object_.find(key);
        return found == object_.end() || found->is_null() ? nullptr : &*found;
    }
    void fail(const char* key, const std::string& what) {
        if (error_) return;
        error_.emplace();
        error_->message = fmt::format("'{}' {}", key, what);
        error_->param = key;
    }
    /// Returns whether a list is short enough.
    bool fits(const char* key, std::size_t size, std::size_t most) {
        if (size <= most) return true;
        fail(key, fmt::format("has {} entries; at most {} are permitted", size, most));
        return false;
    }
    void number(const char* key, double low, double high, float& to) {
        const Json* value = find(key);
        if (value == nullptr) return;
        if (!value->is_number()) return fail(key, "must be a number");
        const double number = value->get<double>();
        if (!(number >= low && number <= high)) {
            return fail(key, fmt::format("is {}; {} to {} are permitted", number, low, high));
        }
        to = static_cast<float>(number);
    }
    template <typename T>
    void integer(const char* key, std::int64_t low, std::int64_t high, T& to) {
        const Json* value = find(key);
        if (value == nullptr) return;
        if (!value->is_number_integer()) return fail(key, "must be an integer");
        const bool huge = value->is_number_unsigned() &&
                          value->get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max();
        const std::int64_t number = huge ? 0 : value->get<std::int64_t>();
        if (huge || number < low || number > high) {
            return fail(key,
                        fmt::format("is {}; {} to {} are permitted", value->dump(), low, high));
        }
        to = static_cast<T>(number);
    }
    void boolean(const char* key, bool& to) {
        const Json* value = find(key);
        if (value == nullptr) return;
        if (!value->is_boolean()) return fail(key, "must be true or false");
        to = value->get<bool>();
    }

private:
    const Json& object_;
    std::optional<ApiError> error_;
};

bool read_tokens(const Json& list, std::vector<Token>& tokens) {
    if (!list.is_array() || list.empty() || list.size() > kMostPromptTokens) return false;
    for (const Json& item : list) {
        if (!item.is_number_integer()) return false;
        const bool fits = item.is_number_unsigned()
                              ? item.get<std::uint64_t>() <= 0x7fffffffu
                              : item.get<std::int64_t>() >= std::numeric_limits<Token>::min();
        if (!fits) return false;
        tokens.push_back(item.get<Token>());
    }
    return true;
}

void read_prompts(Members& members, CompletionRequest& out) {
    const Json* prompt = members.find("prompt");
    if (prompt == nullptr) return members.fail("prompt", "is required");
    const auto add = [&](const Json& value) {
        GenerateRequest request;
        if (value.is_string()) {
            request.prompt = value.get<std::string>();
        } else if (!read_tokens(value, request.prompt_tokens)) {
            return false;
        }
        out.prompts.push_back(std::move(request));
        return true;
    };
    const bool several =
        prompt->is_array() && !prompt->empty() && !(*prompt)[0].is_number_integer();
    bool good = several || add(*prompt);
    if (several) {
        if (prompt->size() > kMostPrompts) {
            return members.fail("prompt", fmt::format("has {} entries; at most {} are permitted",
                                                      prompt->size(), kMostPrompts));
        }
        for (const Json& value : *prompt) good = good && add(value);
    }
    if (!good) {
        members.fail("prompt", "must be a string, a list of token ids, or a list of these");
    }
}

void read_stops(Members& members, GenerateRequest& request) {
    if (const Json* stop = members.find("stop")) {
        const auto add = [&](const Json& value) {
            if (!value.is_string())
                return members.fail("stop", "must be a string or a list of strings");
            const auto& text = value.get_ref<const std::string&>();
            if (text.size() > kMostStopBytes) {
                return members.fail(
                    "stop", fmt::format("is {} bytes long; at most {} are permitted", text.size(),
                                        kMostStopBytes));
            }
            request.stop.push_back(text);
        };
        if (stop->is_array()) {
            if (!members.fits("stop", stop->size(), kMostStops)) return;
            for (const Json& value : *stop) add(value);
        } else {
            add(*stop);
        }
    }
    if (const Json* tokens = members.find("stop_token_ids")) {
        if (!members.fits("stop_token_ids", tokens->size(), kMostStopTokens)) return;
        if (!tokens->empty() && !read_tokens(*tokens, request.stop_tokens)) {
            members.fail("stop_token_ids", "must be a list of token ids");
        }
    }
}

void read_bias(Members& members, SamplingParams& sampling) {
    const Json* bias = members.find("logit_bias");
    if (bias == nullptr) return;
    if (!bias->is_object()) return members.fail("logit_bias", "must be an object");
    if (!members.fits("logit_bias", bias->size(), kMostBiases)) return;
    for (const auto& [key, value] : bias->items()) {
        Token token = -1;
        const char* end = key.data() + key.size();
        const auto read = std::from_chars(key.data(), end, token);
        const bool whole = read.ec == std::errc() && read.ptr == end && token >= 0;
        if (!whole || !value.is_number()) {
            return members.fail("logit_bias",
                                fmt::format("must map token ids to numbers; '{}' does not", key));
        }
        sampling.logit_bias.push_back({token, value.get<float>()});
    }
}

void read_sampling(Members& members, GenerateRequest& request) {
    SamplingParams& sampling = request.sampling;
    sampling.temperature = 1;
    members.number("temperature", 0, 100, sampling.temperature);
    members.number("top_p", 1e-9, 1, sampling.top_p);
    members.number("min_p", 0, 1, sampling.min_p);
    int top_k = 0;
    members.integer("top_k", -1, std::numeric_limits<std::int32_t>::max(), top_k);
    sampling.top_k = top_k < 0 ? 0 : top_k;
    members.number("presence_penalty", -2, 2, sampling.presence_penalty);
    members.number("frequency_penalty", -2, 2, sampling.frequency_penalty);
    members.number("repetition_penalty", 1e-3, 100, sampling.repetition_penalty);
    if (members.find("seed") != nullptr) {
        std::int64_t seed = 0;
        members.integer("seed", std::numeric_limits<std::int64_t>::min(),
                        std::numeric_limits<std::int64_t>::max(), seed);
        sampling.seed = static_cast<std::uint64_t>(seed);
    }
    read_bias(members, sampling);
}

/// Members of OpenAI's API that this server does not support. Their default values are accepted.
void refuse_missing(Members& members, std::int32_t n) {
    bool echo = false;
    members.boolean("echo", echo);
    if (echo) members.fail("echo", "is not supported");
    const Json* suffix = members.find("suffix");
    if (suffix != nullptr && *suffix != "") members.fail("suffix", "is not supported");
    std::int32_t best_of = n;
    members.integer("best_of", 1, 1000, best_of);
    if (best_of != n) members.fail("best_of", "other than n is not supported");
}

}  // namespace

std::string error_body(const ApiError& error) {
    const auto text = [](const std::string& value) { return value.empty() ? Json() : Json(value); };
    const Json body{{"error",
                     {{"message", error.message},
                      {"type", error.type},
                      {"param", text(error.param)},
                      {"code", text(error.code)}}}};
    return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<ApiError> parse_completion(std::string_view body, CompletionRequest& out) {
    const Json document = Json::parse(body, nullptr, false);
    if (!document.is_object()) {
        ApiError error;
        error.message =
            document.is_discarded() ? "the body is not JSON" : "the body is not a JSON object";
        return error;
    }
    Members members(document);
    const Json* model = members.find("model");
    if (model == nullptr || !model->is_string()) {
        members.fail("model", "is required and must be a string");
    } else {
        out.model = model->get<std::string>();
    }
    read_prompts(members, out);
    GenerateRequest common;
    common.max_tokens = 16;
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    members.integer("max_tokens", 1, kMost, common.max_tokens);
    members.integer("min_tokens", 0, kMost, common.min_tokens);
    members.integer("n", 1, 64, common.n);
    members.integer("logprobs", 0, 20, common.logprobs);
    members.boolean("ignore_eos", common.ignore_eos);
    members.boolean("stream", out.stream);
    read_sampling(members, common);
    read_stops(members, common);
    refuse_missing(members, common.n);
    if (const Json* options = members.find("stream_options")) {
        if (!options->is_object() || !out.stream) {
            members.fail("stream_options", "must be an object and needs stream");
        } else {
            Members inner(*options);
            inner.boolean("include_usage", out.include_usage);
            if (inner.error()) members.fail("stream_options", inner.error()->message);
        }
    }
    if (members.error()) return members.error();
    for (GenerateRequest& request : out.prompts) {
        GenerateRequest whole = common;
        whole.prompt = std::move(request.prompt);
        whole.prompt_tokens = std::move(request.prompt_tokens);
        request = std::move(whole);
    }
    return std::nullopt;
}

}  // namespace molink::examples
