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

/// What becomes of the text that a pattern matches.
enum class SplitBehavior : std::uint8_t {
    isolated,              ///< a piece of its own
    removed,               ///< dropped
    merged_with_previous,  ///< the end of the piece before it
    merged_with_next,      ///< the beginning of the piece after it
    contiguous,            ///< neighbouring matches are one piece
};

/// One step of cutting text into words.
struct SplitStep {
    bool add_prefix_space = false;  ///< first put a space before a piece that has none
    std::optional<Regex> pattern;   ///< where to cut; nothing: do not
    SplitBehavior behavior = SplitBehavior::isolated;
    bool invert = false;  ///< treat what lies between the matches as the matches
};

/// The pattern that GPT-2 introduced and ByteLevel uses unless told otherwise.
std::string_view gpt2_pattern();

/// Cuts text into the words that BPE works on, step after step: each piece of one step is the whole
/// text of the next (look-ahead does not see beyond it). Immutable after the last add(), then
/// thread-safe.
class Pretokenizer {
public:
    /// Memory reused from text to text; holds the pieces that gained a prefix.
    struct Workspace {
        Regex::Workspace regex;
        std::deque<std::string> prefixed;
        std::vector<std::string_view> next;
    };

    void add(SplitStep step) { steps_.push_back(std::move(step)); }

    /// Replaces `pieces` by the non-empty words of `text` (well-formed UTF-8), in order. They point
    /// into `text` and `workspace`, until the next call. resource_exhausted as Regex::find().
    Status split(std::string_view text, Workspace& workspace,
                 std::vector<std::string_view>& pieces) const;

private:
    std::vector<SplitStep> steps_;
};

}  // namespace molink
