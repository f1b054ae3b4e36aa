// A single pass over the pattern that copies constructs of both dialects and replaces the others.
// It keeps only two kinds of structure. One is the beginning of the last repeatable item in the
// output, to wrap it when "{n,m}+" means a repetition and is not possessive. The other is the
// number of groups that each open group has opened for flags in its middle. Relies on PCRE2's
// compiler for syntax errors.
#include "tokenizer/regex_translate.h"

#include <optional>
#include <vector>

#include "base/error.h"
#include "tokenizer/unicode.h"
#include "tokenizer/unicode_supplement.h"

namespace molink {
namespace {

constexpr std::string_view kSpaces =
    "\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
    "\\x{9}-\\x{D}";  // a range at the end, so that a following hyphen is literal
constexpr std::string_view kNotSpaces =
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}\\x{21}-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}"
    "\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{"
    "10FFFF}";
// Letters, marks, decimal and letter numbers, connectors, and the symbols that are word characters
// in the dialect of the patterns.
constexpr std::string_view kWordSymbols =
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}\\x{24B6}-\\x{24E9}"
    "\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}";
constexpr std::string_view kHexDigits = "0-9A-Fa-f";

std::string word_members() {
    std::string out(kWordSymbols);
    for (std::string_view category : {"L", "M", "Nd", "Nl", "Pc"})
        out += supplement_ranges(category);
    return out;
}

bool is_ascii_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_hex_digit(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_general_category(std::string_view name) {
    constexpr std::string_view kAll =
        " C Cc Cf Cn Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk "
        "Sm "
        "So Z Zl Zp Zs ";
    return kAll.find(fmt::format(" {} ", name)) != std::string_view::npos;
}

// Members of a class, and whether the complement is meant.
struct Members {
    std::string members;
    bool negated = false;
};

class Translator {
public:
    explicit Translator(std::string_view pattern) : in_(pattern) {}

    Result<std::string> run() {
        groups_.push_back({});
        while (at_ < in_.size()) MOLINK_RETURN_IF_ERROR(step());
        close_flag_groups();
        return std::move(out_);
    }

private:
    struct Group {
        std::size_t begin = 0;        // in out_
        std::size_t flag_groups = 0;  // opened for "(?i)" and not yet closed
    };

    char peek(std::size_t ahead = 0) const {
        return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0';
    }
    bool next_is(std::string_view text) const { return in_.substr(at_, text.size()) == text; }

    Status refuse(std::string_view what) const {
        return make_error(StatusCode::unimplemented,
                          "pattern \"{}\": {} at offset {} is not supported", in_, what, at_);
    }

    Status step() {
        switch (in_[at_]) {
            case '\\': return escape();
            case '[': return character_class();
            case '(': return open_group();
            case ')': return close_group();
            case '{': return counted_repeat();
            case '*':
            case '+':
            case '?': out_ += in_[at_++]; return Status();
            case '|':
                out_ += in_[at_++];
                item_ = out_.size();
                return Status();
            default: return literal();
        }
    }

    Status literal() {
        const Utf8Step step = utf8_step(in_, at_);
        item_ = out_.size();
        out_ += in_.substr(at_, step.length);
        at_ += step.length;
        return Status();
    }

    // Handles "{n}", "{n,}", "{,m}" and "{n,m}". Any other brace is literal.
    Status counted_repeat() {
        std::size_t end = at_ + 1;
        const auto digits = [&] {
            const std::size_t begin = end;
            while (end < in_.size() && is_digit(in_[end])) ++end;
            return in_.substr(begin, end - begin);
        };
        const std::string_view low = digits();
        const bool comma = end < in_.size() && in_[end] == ',';
        if (comma) ++end;
        const std::string_view high = comma ? digits() : std::string_view();
        const bool closed = end < in_.size() && in_[end] == '}';
        if (!closed || (low.empty() && high.empty())) {
            item_ = out_.size();
            out_ += "\\{";
            ++at_;
            return Status();
        }
        at_ = end + 1;
        out_ += fmt::format("{{{}{}{}}}", low.empty() ? "0" : low, comma ? "," : "", high);
        // In the source dialect "{n}?" makes the whole item optional, and "{..}+" repeats it.
        const bool wraps = peek() == '+' || (!comma && peek() == '?');
        if (wraps) {
            out_.insert(item_, "(?:");
            out_ += ')';
        }
        return Status();
    }

    Status open_group() {
        if (peek(1) != '?') return copy_group_start("(");
        for (std::string_view start :
             {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:", "(?-i:"}) {
            if (next_is(start)) return copy_group_start(start);
        }
        for (std::string_view flag : {"(?i)", "(?-i)"}) {
            if (!next_is(flag)) continue;
            at_ += flag.size();
            out_ += flag.substr(0, flag.size() - 1);
            out_ += ':';
            item_ = out_.size();
            ++groups_.back().flag_groups;
            return Status();
        }
        return refuse("a group of this kind");
    }

    Status copy_group_start(std::string_view start) {
        groups_.push_back({out_.size(), 0});
        out_ += start;
        at_ += start.size();
        item_ = out_.size();
        return Status();
    }

    void close_flag_groups() { out_.append(groups_.back().flag_groups, ')'); }

    Status close_group() {
        if (groups_.size() == 1) return refuse("a closing parenthesis without an opening one");
        close_flag_groups();
        item_ = groups_.back().begin;
        groups_.pop_back();
        out_ += in_[at_++];
        return Status();
    }

    Status escape() {
        const std::size_t begin = out_.size();
        const char c = peek(1);
        if (c == 'b' || c == 'B') {
            const std::string w = word_members();
            at_ += 2;
            const std::string_view inner = c == 'b' ? "!" : "=";
            const std::string_view outer = c == 'b' ? "=" : "!";
            out_ += fmt::format("(?:(?<=[{0}])(?{1}[{0}])|(?<![{0}])(?{2}[{0}]))", w, inner, outer);
        } else if (c == 'A' || c == 'z' || c == 'Z' || c == 'R' || c == 'X') {
            out_ += in_.substr(at_, 2);
            at_ += 2;
        } else {
            MOLINK_ASSIGN_OR_RETURN(const std::optional<Members> members, class_escape());
            if (members) {
                out_ += fmt::format("[{}{}]", members->negated ? "^" : "", members->members);
            } else {
                MOLINK_RETURN_IF_ERROR(character_escape());
            }
        }
        item_ = begin;
        return Status();
    }

    // Handles \s \d \w \h \p and their complements. Returns nothing for another escape.
    Result<std::optional<Members>> class_escape() {
        const char c = peek(1);
        Members found;
        switch (c) {
            case 's':
            case 'S': found = {std::string(kSpaces), c == 'S'}; break;
            case 'd':
            case 'D': found = {"\\p{Nd}" + supplement_ranges("Nd"), c == 'D'}; break;
            case 'w':
            case 'W': found = {word_members(), c == 'W'}; break;
            case 'h':
            case 'H': found = {std::string(kHexDigits), c == 'H'}; break;
            case 'p':
            case 'P': return property();
            default: return std::optional<Members>();
        }
        at_ += 2;
        return std::optional<Members>(std::move(found));
    }

    Result<std::optional<Members>> property() {
        const std::size_t end = in_.find('}', at_);
        if (peek(2) != '{' || end == std::string_view::npos) {
            return refuse("a property without braces");
        }
        std::string_view name = in_.substr(at_ + 3, end - at_ - 3);
        bool negated = peek(1) == 'P';
        if (!name.empty() && name.front() == '^') {
            negated = !negated;
            name.remove_prefix(1);
        }
        for (char c : name) {
            if (!is_ascii_letter(c) && c != '_') return refuse("a property of this form");
        }
        std::string members;
        if (is_general_category(name)) {
            members = fmt::format("\\p{{{}}}{}", name, supplement_ranges(name));
        } else if (name == "Any") {
            members = "\\p{Any}";
        } else {
            // Without "sc:" PCRE2 would use script extensions.
            members = fmt::format("\\p{{sc:{}}}{}", name, supplement_script_ranges(name));
        }
        at_ = end + 1;
        return std::optional<Members>(Members{std::move(members), negated});
    }

    // Handles an escape for one character, inside or outside a class.
    Status character_escape() {
        const char c = peek(1);
        if (c == '\0' && at_ + 1 >= in_.size()) return refuse("a backslash without a character");
        if (c == 'x' || c == 'u') return numeric_escape(c);
        if (c == 'v') {
            out_ += "\\x{B}";
            at_ += 2;
            return Status();
        }
        const bool control = c == 'n' || c == 'r' || c == 't' || c == 'f' || c == 'a' || c == 'e';
        if ((is_ascii_letter(c) && !control) || is_digit(c)) {
            return refuse(fmt::format("the escape \\{}", c));
        }
        const std::size_t length = utf8_step(in_, at_ + 1).length;
        if (length == 1) out_ += '\\';
        out_ += in_.substr(at_ + 1, length);
        at_ += 1 + length;
        return Status();
    }

    Status numeric_escape(char kind) {
        const bool braces = kind == 'x' && peek(2) == '{';
        const std::size_t begin = at_ + (braces ? 3 : 2);
        const std::size_t limit = braces ? 8 : (kind == 'x' ? 2 : 4);
        std::size_t end = begin;
        while (end < in_.size() && end - begin < limit && is_hex_digit(in_[end])) ++end;
        const bool complete =
            braces ? end > begin && end < in_.size() && in_[end] == '}' : end - begin == limit;
        if (!complete) return refuse("a number of this form");
        const std::string_view digits = in_.substr(begin, end - begin);
        // Two digits mean a byte in the source dialect, not a character. The two are equal only in
        // ASCII.
        if (kind == 'x' && !braces && digits[0] >= '8') return refuse("a byte above \\x7F");
        out_ += fmt::format("\\x{{{}}}", digits);
        at_ = end + (braces ? 1 : 0);
        return Status();
    }

    Status character_class() {
        const std::size_t begin = out_.size();
        out_ += in_[at_++];
        if (peek() == '^') out_ += in_[at_++];
        if (peek() == ']') {
            out_ += "\\]";
            ++at_;
        }
        // A nested class adds its members, so its brackets are not copied.
        for (std::size_t depth = 1; depth > 0;) {
            if (at_ >= in_.size()) return refuse("an unterminated character class");
            if (next_is("[:")) return refuse("a POSIX bracket");
            if (next_is("[^") || next_is("[]")) return refuse("an inner class of this kind");
            if (peek() == '[' || peek() == ']') {
                depth = peek() == '[' ? depth + 1 : depth - 1;
                ++at_;
            } else {
                MOLINK_RETURN_IF_ERROR(class_member());
            }
        }
        out_ += ']';
        item_ = begin;
        return Status();
    }

    Status class_member() {
        if (next_is("&&")) return refuse("an intersection of classes");
        if (peek() != '\\') {
            const std::size_t length = utf8_step(in_, at_).length;
            out_ += in_.substr(at_, length);
            at_ += length;
            return Status();
        }
        if (peek(1) == 'b') {
            out_ += "\\x{8}";
            at_ += 2;
            return Status();
        }
        const char kind = peek(1);
        MOLINK_ASSIGN_OR_RETURN(const std::optional<Members> members, class_escape());
        if (!members) return character_escape();
        return add_members(*members, kind);
    }

    // A complement cannot be listed inside a class. Only that of white space is short enough.
    Status add_members(const Members& members, char kind) {
        if (!members.negated) {
            out_ += members.members;
        } else if (kind == 'S') {
            out_ += kNotSpaces;
        } else {
            return refuse("a complement inside a class, ending");
        }
        return Status();
    }

    std::string_view in_;
    std::size_t at_ = 0;
    std::string out_;
    std::size_t item_ = 0;  // where the last repeatable item begins in out_
    std::vector<Group> groups_;
};

}  // namespace

Result<std::string> translate_regex(std::string_view pattern) {
    if (const auto offset = find_invalid_utf8(pattern)) {
        return invalid_argument("translate a pattern of {} bytes: byte {} is not UTF-8",
                                pattern.size(), *offset);
    }
    return Translator(pattern).run();
}

}  // namespace molink
