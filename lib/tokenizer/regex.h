#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <molink/status.h>

namespace molink {

/// A compiled pattern of a tokenizer file. Movable. Immutable and therefore thread-safe: all state
/// of a match is in the caller's Workspace.
class Regex {
public:
    struct Match {
        std::size_t begin = 0;
        std::size_t end = 0;
    };

    /// Match memory for any number of patterns. One per thread.
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

    /// Compiles a pattern in the dialect of tokenizer files (see regex_translate.h). Errors:
    /// invalid_argument (not a pattern), unimplemented (unsupported construct).
    static Result<Regex> compile(std::string_view pattern);
    /// Compiles a pattern that matches `text` literally.
    static Result<Regex> compile_literal(std::string_view text);

    ~Regex();
    Regex(Regex&&) noexcept;
    Regex& operator=(Regex&&) noexcept;

    /// Returns the leftmost match in `subject` that begins at `start` or later, or nothing if there
    /// is none. `subject` must be well-formed UTF-8, which is not verified. Look-behind sees text
    /// before `start`. Errors: resource_exhausted when the pattern backtracks beyond the limits.
    Result<std::optional<Match>> find(std::string_view subject, std::size_t start,
                                      Workspace& workspace) const;

private:
    struct Code;
    explicit Regex(std::unique_ptr<Code> code);
    std::unique_ptr<Code> code_;
};

}  // namespace molink
