// Splitting text into words: behaviours of matches, sequences of steps, and two common patterns.
#include "tokenizer/pretokenize.h"

#include "support/catch.h"

using namespace molink;

namespace {

using Words = std::vector<std::string>;

SplitStep step(std::string_view pattern, SplitBehavior behavior = SplitBehavior::isolated,
               bool invert = false) {
    auto regex = Regex::compile(pattern);
    INFO(regex.status().to_string());
    REQUIRE(regex.has_value());
    SplitStep result;
    result.pattern = std::move(regex).value();
    result.behavior = behavior;
    result.invert = invert;
    return result;
}

Words words_of(const Pretokenizer& pretokenizer, std::string_view text) {
    Pretokenizer::Workspace workspace;
    std::vector<std::string_view> pieces;
    const Status status = pretokenizer.split(text, workspace, pieces);
    INFO(status.to_string());
    REQUIRE(status.ok());
    return Words(pieces.begin(), pieces.end());
}

Words words_of(SplitStep only, std::string_view text) {
    Pretokenizer pretokenizer;
    pretokenizer.add(std::move(only));
    return words_of(pretokenizer, text);
}

}  // namespace

TEST_CASE("a match is kept, removed or merged by its behaviour", "[pretokenize]") {
    constexpr std::string_view kText = "the--end-of";
    CHECK(words_of(step("-", SplitBehavior::isolated), kText) ==
          Words{"the", "-", "-", "end", "-", "of"});
    CHECK(words_of(step("-", SplitBehavior::removed), kText) == Words{"the", "end", "of"});
    CHECK(words_of(step("-", SplitBehavior::contiguous), kText) ==
          Words{"the", "--", "end", "-", "of"});
    CHECK(words_of(step("-", SplitBehavior::merged_with_previous), kText) ==
          Words{"the-", "-", "end-", "of"});
    CHECK(words_of(step("-", SplitBehavior::merged_with_next), kText) ==
          Words{"the", "-", "-end", "-of"});
}

TEST_CASE("a match at the border of the text has nothing to merge with", "[pretokenize]") {
    CHECK(words_of(step("-", SplitBehavior::merged_with_previous), "-a-") == Words{"-", "a-"});
    CHECK(words_of(step("-", SplitBehavior::merged_with_next), "-a-") == Words{"-a", "-"});
    CHECK(words_of(step("-", SplitBehavior::removed), "---").empty());
}

TEST_CASE("with invert the text between matches counts as the match", "[pretokenize]") {
    CHECK(words_of(step("[a-z]+", SplitBehavior::removed, true), "ab, cd.") == Words{"ab", "cd"});
    CHECK(words_of(step("[a-z]+", SplitBehavior::merged_with_previous, true), "ab, cd.") ==
          Words{"ab, ", "cd."});
}

TEST_CASE("empty matches split the text and remove nothing", "[pretokenize]") {
    CHECK(words_of(step("\\b"), "ab cd") == Words{"ab", " ", "cd"});
    CHECK(words_of(step("[a-z]*"), "ab1\xC3\xA9\xC3\xA9z") ==
          Words{"ab", "1", "\xC3\xA9", "\xC3\xA9", "z"});
}

TEST_CASE("a later step sees each piece of the step before on its own", "[pretokenize]") {
    Pretokenizer pretokenizer;
    pretokenizer.add(step(","));
    pretokenizer.add(step("a(?=,)|(?<=,)b"));
    CHECK(words_of(pretokenizer, "xa,bx") == Words{"xa", ",", "bx"});
    SplitStep prefix;
    prefix.add_prefix_space = true;
    pretokenizer.add(std::move(prefix));
    CHECK(words_of(pretokenizer, "xa, b") == Words{" xa", " ,", " b"});
}

TEST_CASE("the pattern of GPT-2 splits text as expected", "[pretokenize]") {
    CHECK(words_of(step(gpt2_pattern()), "Hello  world's  2nd: we'LL\n\n x ") ==
          Words{"Hello", " ", " world", "'s", " ", " 2", "nd", ":", " we", "'", "LL", "\n\n", " x",
                " "});
    CHECK(words_of(step(gpt2_pattern()), "").empty());
    CHECK(words_of(step(gpt2_pattern()), "   ") == Words{"   "});
}

TEST_CASE("the pattern of Llama 3 splits text as expected", "[pretokenize]") {
    constexpr std::string_view kPattern =
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
        R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    CHECK(words_of(step(kPattern), "We'LL pay $12345.67!!\n\n  Now") ==
          Words{"We", "'LL", " pay", " $", "123", "45", ".", "67", "!!\n\n", " ", " Now"});
}

TEST_CASE("a pattern that takes too many steps is an error", "[pretokenize]") {
    Pretokenizer pretokenizer;
    pretokenizer.add(step("(?:a|aa|aaa)+[bc]x"));
    Pretokenizer::Workspace workspace;
    std::vector<std::string_view> pieces;
    const std::string text = std::string(5000, 'a') + "cbx";
    const Status status = pretokenizer.split(text, workspace, pieces);
    CHECK(status.code() == StatusCode::resource_exhausted);
}
