// Checks the parts of the house style that concern single files: lengths, characters, openings,
// leftovers and bans. Bans apply to blanked code, so a comment may name what is banned.
#include "text_rules.h"

#include <algorithm>
#include <regex>

namespace molink::tidy {
namespace {

constexpr std::size_t kMaxColumns = 100;
constexpr std::size_t kMaxFileLines = 600;
constexpr std::size_t kMaxPublicHeaderLines = 250;
constexpr std::size_t kMaxFunctionLines = 70;
constexpr std::size_t kMaxOpeningLines = 10;

struct Ban {
    std::string_view what;
    std::regex pattern;
};

const std::vector<Ban>& bans() {
    static const std::vector<Ban> table = {
        {"prints",
         std::regex(
             R"(\b(v?f?printf|f?puts|f?putchar|putc|perror)\s*\(|fmt::print\b|\bstd::print)")},
        {"prints", std::regex(R"(\bstd::(cout|cerr|clog)\b|#\s*include\s*<iostream>)")},
        {"ends the process",
         std::regex(R"((^|[^.>\w])(std::)?(_?exit|quick_exit|_Exit|abort|terminate)\s*\()")},
        {"randomness", std::regex(R"((^|[^.>\w])s?rand\s*\(|\bstd::(random_device|mt19937))")},
        {"randomness", std::regex(R"(#\s*include\s*<random>|\bgetrandom\s*\()")},
        {"duration", std::regex(R"(\bstd::chrono\b|#\s*include\s*<chrono>)")},
        {"clock", std::regex(R"(_clock::now\b|#\s*include\s*<(ctime|time\.h)>)")},
        {"clock", std::regex(R"(\b(clock_gettime|gettimeofday|rdtsc|__rdtsc)\s*\()")},
        {"clock",
         std::regex(R"((^|[^.>\w:])(std::)?(time|clock)\s*\(\s*(NULL|nullptr|0|&\w+)?\s*\))")},
        {"sleeps",
         std::regex(R"(\b(sleep_for|sleep_until|usleep|nanosleep)\b|(^|[^.>\w])sleep\s*\()")},
    };
    return table;
}

/// A file in which a ban does not apply, and why.
struct Exception {
    std::string_view path;
    std::string_view ban;
    std::string_view reason;
};
constexpr Exception kExceptions[] = {
    {"lib/base/clock_steady.cpp", "clock", "the only reader of the system clock"},
    {"lib/base/clock_steady.cpp", "duration", "converts the time to microseconds"},
    {"lib/security/access_file.cpp", "clock", "tokens expire at a time of the calendar"},
    {"lib/base/system_seed.cpp", "randomness", "the only reader of entropy"},
    {"lib/transport/inproc_transport.cpp", "duration", "how long poll waits for a frame"},
    {"lib/stage/thread_executor.cpp", "duration", "how long a timed part waits for its end"},
    {"lib/base/timeout.h", "duration", "how long a caller waits on a condition variable"},
};

bool is_excepted(const SourceFile& file, std::string_view ban) {
    return std::any_of(std::begin(kExceptions), std::end(kExceptions), [&](const Exception& entry) {
        return entry.path == file.path && entry.ban == ban;
    });
}

std::size_t opening_comment_lines(const SourceFile& file) {
    std::size_t count = 0;
    while (count < file.lines.size() && file.lines[count].starts_with("//")) ++count;
    return count;
}

void check_line_characters(const SourceFile& file, std::size_t index, Violations& out) {
    const std::string& line = file.lines[index];
    for (const char c : line) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 32 || byte > 126) {
            out.push_back(
                {file.path, index + 1, "byte " + std::to_string(byte) + " is not plain ASCII"});
            return;
        }
    }
    if (line.ends_with(' ')) out.push_back({file.path, index + 1, "space at the end of the line"});
}

}  // namespace

void check_lengths(const SourceFile& file, Violations& out) {
    const bool is_public = file.is_under("include/");
    const std::size_t most = is_public ? kMaxPublicHeaderLines : kMaxFileLines;
    if (file.lines.size() > most) {
        out.push_back({file.path, 0,
                       std::to_string(file.lines.size()) + " lines; at most " +
                           std::to_string(most) + " are allowed"});
    }
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
        if (file.lines[i].size() <= kMaxColumns) continue;
        out.push_back({file.path, i + 1, std::to_string(file.lines[i].size()) + " columns"});
    }
    if (!file.is_cpp()) return;
    for (const Function& function : functions_of(file)) {
        if (function.line_count <= kMaxFunctionLines) continue;
        out.push_back({file.path, function.first_line,
                       "function of " + std::to_string(function.line_count) + " lines"});
    }
}

void check_characters(const SourceFile& file, Violations& out) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) check_line_characters(file, i, out);
}

void check_opening(const SourceFile& file, Violations& out) {
    if (file.has_extension(".h")) {
        const bool has =
            std::find(file.lines.begin(), file.lines.end(), "#pragma once") != file.lines.end();
        // The C header must also suit compilers without the pragma. A Highway "-inl.h" is included
        // once per SIMD target.
        const bool often = file.is_under("capi/") || file.is_under("tests/abi/old/") ||
                           file.path.ends_with("-inl.h");
        if (!has && !often) out.push_back({file.path, 1, "no #pragma once"});
        return;
    }
    if (!file.has_extension(".cpp") && !file.has_extension(".cu")) return;
    const std::size_t least = file.is_under("tests/") || file.is_under("examples/") ? 1 : 3;
    const std::size_t count = opening_comment_lines(file);
    if (count >= least && count <= kMaxOpeningLines) return;
    out.push_back({file.path, 1,
                   "opens with a comment of " + std::to_string(count) + " lines, not " +
                       std::to_string(least) + ".." + std::to_string(kMaxOpeningLines)});
}

void check_leftovers(const SourceFile& file, Violations& out) {
    // The marks are split, so that this file has none.
    static const std::regex marks(R"(\b(TO)"
                                  "DO|FIX"
                                  R"(ME|XX)"
                                  R"(X|HA)"
                                  R"(CK)\b)");
    static const std::regex code(
        R"(^\s*//\s*(#\s*include\b.*|return\b.*;|(if|for|while)\s*\(.*[{;]|[\w:.>-]+\(.*\);)"
        R"(|[\w:<>*&, ]+\s=\s[^=].*;|\}[;)]*|.*\)\s*\{)\s*$)");
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
        if (std::regex_search(file.lines[i], marks)) {
            out.push_back({file.path, i + 1, "mark of unfinished work"});
        }
        if (file.is_cpp() && std::regex_search(file.lines[i], code)) {
            out.push_back({file.path, i + 1, "code in a comment"});
        }
    }
}

void check_bans(const SourceFile& file, Violations& out) {
    const bool applies = file.is_under("lib/") || file.is_under("include/");
    if (!applies || !file.is_cpp()) return;
    for (std::size_t i = 0; i < file.code.size(); ++i) {
        for (const Ban& ban : bans()) {
            if (!std::regex_search(file.code[i], ban.pattern) || is_excepted(file, ban.what))
                continue;
            out.push_back({file.path, i + 1, "banned: " + std::string(ban.what)});
        }
    }
}

}  // namespace molink::tidy
