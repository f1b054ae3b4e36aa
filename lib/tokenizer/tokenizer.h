#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

namespace molink {

struct TokenizerParts;

/// A byte-level BPE tokenizer as a Hugging Face tokenizer.json describes it (GPT-2, Llama 3, Qwen
/// and similar). It converts text to token ids and back. Immutable after loading and therefore
/// thread-safe.
///
/// Ids and text equal those of the reference library, with these deliberate exceptions. Ids of
/// added tokens are those of the file; they are never renumbered, and a contradiction is an error.
/// A token that is only in added_tokens decodes to its content. `truncation` and `padding` of the
/// file are ignored. A byte without a token is an error; the reference library drops it.
class Tokenizer {
public:
    /// Reads `tokenizer_json_path`. Errors: not_found (no such file), invalid_argument (not a
    /// tokenizer, with the wrong key), unimplemented (unsupported kind of tokenizer, with its
    /// name).
    static Result<std::unique_ptr<Tokenizer>> load(const std::string& tokenizer_json_path);
    /// Reads a tokenizer from memory. `json` is copied as needed. Messages name it `name`.
    static Result<std::unique_ptr<Tokenizer>> parse(std::string_view json, std::string_view name);

    explicit Tokenizer(std::unique_ptr<const TokenizerParts> parts);
    ~Tokenizer();
    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;

    /// Returns the tokens of `utf8`, which has any length below 2 GiB and may contain zero bytes.
    /// Special tokens in the text are always recognised. `add_special_tokens` concerns only those
    /// that the file's template puts around a text. Errors: invalid_argument (not UTF-8, with the
    /// offset of the first wrong byte, or a byte without a token), resource_exhausted (a pattern
    /// backtracks beyond the limits).
    Result<std::vector<Token>> encode(std::string_view utf8, bool add_special_tokens) const;

    /// One more than the largest token id. Smaller ids may be unused.
    std::int64_t vocabulary_size() const;
    /// Returns the bytes of `token`, which may hold a part of a character; empty for an unknown id.
    /// They live as long as the tokenizer.
    std::string_view token_bytes(Token token) const;
    /// Returns whether `token` is a control token; false for an unknown id.
    bool is_special(Token token) const;

    /// Returns the text of `tokens`. Bytes that are not UTF-8 become U+FFFD. Unknown ids give no
    /// text.
    std::string decode(std::span<const Token> tokens, bool skip_special) const;

private:
    std::unique_ptr<const TokenizerParts> parts_;
};

}  // namespace molink
