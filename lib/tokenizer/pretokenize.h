#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>

#include "tokenizer/regex.h"

namespace molink {

/// How text that a pattern matches is handled.
enum class SplitBehavior : std::uint8_t {
    isolated,              ///< becomes a separate piece
    removed,               ///< is dropped
    merged_with_previous,  ///< becomes the end of the piece before it
    merged_with_next,      ///< becomes the beginning of the piece after it
    contiguous,            ///< neighbouring matches become one piece
};

/// One step of splitting text into words.
struct SplitStep {
    bool add_prefix_space = false;  ///< first puts a space before a piece that has none
    std::optional<Regex> pattern;   ///< where to split; not set: nowhere
    SplitBehavior behavior = SplitBehavior::isolated;
    bool invert = false;  ///< swaps matches and the text between them
};

/// The pattern of GPT-2, which is the default of ByteLevel.
std::string_view gpt2_pattern();

/// Splits text into words for BPE. Each piece of one step is a complete text for the next step, so
/// look-ahead does not see beyond it. Immutable after the last add(), and then thread-safe.
class Pretokenizer {
public:
    /// Memory that is reused for each text. It holds the pieces that were given a prefix.
    struct Workspace {
        Regex::Workspace regex;
        std::deque<std::string> prefixed;
        std::vector<std::string_view> next;
    };

    void add(SplitStep step) { steps_.push_back(std::move(step)); }

    /// Replaces `pieces` by the words of `text` (well-formed UTF-8) in order, without empty ones.
    /// They point into `text` and `workspace` and are valid until the next call. Errors: those of
    /// Regex::find().
    Status split(std::string_view text, Workspace& workspace,
                 std::vector<std::string_view>& pieces) const;

private:
    std::vector<SplitStep> steps_;
};

}  // namespace molink
