#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <molink/status.h>

namespace molink {

/// A compiled pattern of a tokenizer file. Immutable, so thread-safe; what changes while matching
/// lives in the caller's Workspace. Movable.
class Regex {
public:
    struct Match {
        std::size_t begin = 0;
        std::size_t end = 0;
    };

    /// Match memory for any number of patterns; one per thread.
    class Workspace {
    public:
        Workspace();
        ~Workspace();
        Workspace(const Workspace&) = delete;
        Workspace& operator=(const Workspace&) = delete;

    private:
        friend class Regex;
        struct State;
        std::unique_ptr<State> state_;
    };

    /// `pattern` in the dialect of tokenizer files (see regex_translate.h).
    /// invalid_argument: not a pattern; unimplemented: one with a construct that is not supported.
    static Result<Regex> compile(std::string_view pattern);
    /// Matches `text` itself.
    static Result<Regex> compile_literal(std::string_view text);

    ~Regex();
    Regex(Regex&&) noexcept;
    Regex& operator=(Regex&&) noexcept;

    /// The leftmost match in `subject` (well-formed UTF-8, not verified) that begins at `start` or
    /// later, looking behind `start` where the pattern does. Nothing when there is none.
    /// resource_exhausted: the pattern backtracks beyond the limits on this text.
    Result<std::optional<Match>> find(std::string_view subject, std::size_t start,
                                      Workspace& workspace) const;

private:
    struct Code;
    explicit Regex(std::unique_ptr<Code> code);
    std::unique_ptr<Code> code_;
};

}  // namespace molink
