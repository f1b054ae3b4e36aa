// Every supported pre-tokenizer (Split, Digits, ByteLevel) is an instance of one step: it may add a
// prefix and then splits at the matches of a pattern. The iteration over matches follows the
// reference library. An empty match that touches the match before it is skipped by one code point.
// Other empty matches count.
#include "tokenizer/pretokenize.h"

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace molink {
namespace {

// Receives matches and the text between them in order, and forms pieces.
class PieceBuilder {
public:
    PieceBuilder(std::string_view text, SplitBehavior behavior, std::vector<std::string_view>& out)
        : text_(text), behavior_(behavior), out_(out) {}

    void add(std::size_t begin, std::size_t end, bool is_match) {
        switch (behavior_) {
            case SplitBehavior::isolated: start(begin, end); break;
            case SplitBehavior::removed:
                flush();
                if (!is_match) start(begin, end);
                break;
            case SplitBehavior::contiguous:
                is_match == previous_is_match_&& open_ ? extend(end) : start(begin, end);
                break;
            case SplitBehavior::merged_with_previous:
                is_match && !previous_is_match_ && open_ ? extend(end) : start(begin, end);
                break;
            case SplitBehavior::merged_with_next:
                !is_match&& previous_is_match_&& open_ ? extend(end) : start(begin, end);
                break;
        }
        previous_is_match_ = is_match;
    }

    void finish() { flush(); }

private:
    void start(std::size_t begin, std::size_t end) {
        flush();
        open_ = true;
        begin_ = begin;
        end_ = end;
    }
    void extend(std::size_t end) { end_ = end; }
    void flush() {
        if (open_ && end_ > begin_) out_.push_back(text_.substr(begin_, end_ - begin_));
        open_ = false;
    }

    std::string_view text_;
    SplitBehavior behavior_;
    std::vector<std::string_view>& out_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool open_ = false;
    bool previous_is_match_ = false;
};

Status split_at_matches(std::string_view text, const SplitStep& step, Regex::Workspace& workspace,
                        std::vector<std::string_view>& out) {
    PieceBuilder builder(text, step.behavior, out);
    std::size_t done = 0;   // the builder has received everything before it
    std::size_t start = 0;  // where the search continues
    std::optional<std::size_t> last_end;
    while (start <= text.size()) {
        MOLINK_ASSIGN_OR_RETURN(const auto match, step.pattern->find(text, start, workspace));
        if (!match) break;
        if (match->end <= match->begin && last_end == match->end) {
            start += start < text.size() ? utf8_step(text, start).length : 1;
            continue;
        }
        if (match->begin > done) builder.add(done, match->begin, step.invert);
        builder.add(match->begin, match->end, !step.invert);
        done = match->end;
        start = match->end;
        last_end = match->end;
    }
    if (done < text.size()) builder.add(done, text.size(), step.invert);
    builder.finish();
    return Status();
}

}  // namespace

std::string_view gpt2_pattern() {
    return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
}

Status Pretokenizer::split(std::string_view text, Workspace& workspace,
                           std::vector<std::string_view>& pieces) const {
    workspace.prefixed.clear();
    pieces.clear();
    if (!text.empty()) pieces.push_back(text);
    for (const SplitStep& step : steps_) {
        auto& next = workspace.next;
        next.clear();
        for (std::string_view piece : pieces) {
            if (step.add_prefix_space && piece.front() != ' ') {
                piece = workspace.prefixed.emplace_back(1, ' ').append(piece);
            }
            if (!step.pattern) {
                next.push_back(piece);
                continue;
            }
            MOLINK_RETURN_IF_ERROR(split_at_matches(piece, step, workspace.regex, next));
        }
        pieces.swap(next);
    }
    return Status();
}

}  // namespace molink
