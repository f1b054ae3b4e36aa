// Reads the body of POST /v1/completions as a stream of events, without a tree: a tree of a hostile
// body needs many times its size. Nesting is bounded, and whatever a member that is ignored holds
// is dropped as it is read.
#include "serve/completion_request.h"

#include <limits>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "serve/completion_reader.h"
#include "serve/json_scalar.h"

namespace molink::examples {
namespace {

using Json = nlohmann::json;

/// Members that are ignored may be nested; what is read reaches 3 levels.
constexpr int kMostLevels = 32;

/// Turns the events of the parser into calls of the reader: level 1 is the body, level 2 the value
/// of a member, level 3 a list in it.
class BodyEvents final : public nlohmann::json_sax<Json> {
public:
    explicit BodyEvents(CompletionReader& reader) : reader_(reader) {}

    bool null() override { return scalar({}); }
    bool boolean(bool value) override { return scalar(value); }
    bool number_integer(number_integer_t value) override { return scalar(std::int64_t{value}); }
    bool number_unsigned(number_unsigned_t value) override {
        constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
        if (value > std::uint64_t{kMost}) return scalar(static_cast<double>(value));
        return scalar(static_cast<std::int64_t>(value));
    }
    bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
    bool string(string_t& value) override { return scalar(std::move(value)); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return begin(false); }
    bool start_array(std::size_t) override { return begin(true); }
    bool end_object() override { return end(); }
    bool end_array() override { return end(); }
    bool key(string_t& name) override {
        if (level_ == 1) return reader_.member(std::move(name));
        if (level_ == 2) inner_key_ = std::move(name);
        return true;
    }
    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::detail::exception&) override {
        return reader_.fail_body(
            fmt::format("the body is not JSON: it is wrong at byte {}", position));
    }

private:
    bool scalar(JsonScalar value) {
        switch (level_) {
            case 0: return reader_.fail_body("the body is not a JSON object");
            case 1: return reader_.scalar(std::move(value));
            case 2:
                return is_list_ ? reader_.item(std::move(value))
                                : reader_.pair(inner_key_, value, false);
            case 3: return !is_inner_list_ || reader_.inner_item(std::move(value));
            default: return true;
        }
    }
    bool begin(bool list) {
        if (++level_ > kMostLevels) {
            return reader_.fail_body(
                fmt::format("the body is nested deeper than {} levels", kMostLevels));
        }
        if (level_ == 1) return !list || reader_.fail_body("the body is not a JSON object");
        if (level_ == 2) {
            is_list_ = list;
            return list ? reader_.begin_list() : reader_.begin_object();
        }
        if (level_ != 3) return true;
        is_inner_list_ = is_list_ && list;
        if (!is_list_) return reader_.pair(inner_key_, {}, true);
        // An object in a list is what no member permits.
        return list ? reader_.begin_inner_list() : reader_.item({});
    }
    bool end() {
        const int level = level_--;
        if (level == 2 && is_list_) return reader_.end_list();
        if (level == 3 && is_inner_list_) return reader_.end_inner_list();
        return true;
    }

    CompletionReader& reader_;
    int level_ = 0;
    bool is_list_ = false;
    bool is_inner_list_ = false;
    std::string inner_key_;
};

}  // namespace

std::optional<ApiError> parse_completion(std::string_view body, CompletionRequest& out) {
    CompletionReader reader(out);
    BodyEvents events(reader);
    if (Json::sax_parse(body, &events)) reader.finish();
    return reader.error();
}

}  // namespace molink::examples
