#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <molink/request.h>

#include "serve/completion_request.h"
#include "serve/json_scalar.h"

namespace molink::examples {

/// Receives the members of a completion's body one value at a time and builds the request. Keeps
/// the first error; every method returns false once there is one. Not thread-safe.
class CompletionReader {
public:
    explicit CompletionReader(CompletionRequest& out);

    /// A member begins.
    bool member(std::string key);
    /// Its value, if it is neither a list nor an object.
    bool scalar(JsonScalar value);
    bool begin_list();
    bool begin_object();
    bool end_list();
    /// A value in its list.
    bool item(JsonScalar value);
    /// A list in its list, the values in it, and its end.
    bool begin_inner_list();
    bool inner_item(JsonScalar value);
    bool end_inner_list();
    /// A member of its object. A list or an object as value comes as `composite`.
    bool pair(const std::string& key, const JsonScalar& value, bool composite);
    /// Checks what concerns several members, and completes the request.
    bool finish();

    bool fail(std::string_view key, const std::string& what);
    bool fail_body(const std::string& what);
    const std::optional<ApiError>& error() const { return error_; }

private:
    /// What the list of `prompt` holds: token ids of one prompt, or prompts.
    enum class PromptList { empty, tokens, prompts };

    bool number(const JsonScalar& value, double low, double high, float& to);
    template <typename T>
    bool integer(const JsonScalar& value, std::int64_t low, std::int64_t high, T& to);
    bool boolean(const JsonScalar& value, bool& to);
    bool sampling_scalar(const JsonScalar& value);
    bool common_scalar(JsonScalar& value);
    bool stream_option(const std::string& key, const JsonScalar& value, bool composite);
    bool prompt_item(JsonScalar value);
    bool wrong_prompt();
    bool add_prompt();
    bool add_token(const JsonScalar& value, std::vector<Token>& to);
    bool add_stop(JsonScalar value);
    bool is(std::string_view key) const { return key_ == key; }

    CompletionRequest& out_;
    GenerateRequest common_;
    std::optional<ApiError> error_;
    std::string key_;              // of the current member
    std::set<std::string> known_;  // members that were read
    bool has_model_ = false;
    bool has_stream_options_ = false;
    PromptList prompt_list_ = PromptList::empty;
    std::int32_t best_of_ = 0;  // 0: not given
};

}  // namespace molink::examples
