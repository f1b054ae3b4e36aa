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
/// and their like): text to token ids and back. Immutable after loading; every method may be called
/// from any thread at the same time.
///
/// Equal to the reference library in ids and text, with these deliberate exceptions: ids of added
/// tokens are those of the file (never renumbered; a contradiction is an error); a token that is
/// only in added_tokens decodes to its content; `truncation` and `padding` of the file are ignored;
/// a byte without a token is an error where the reference drops it.
class Tokenizer {
public:
    /// Reads `tokenizer_json_path`. not_found: no such file; invalid_argument: not a tokenizer,
    /// with the offending key; unimplemented: a tokenizer of a kind that is not supported, with its
    /// name.
    static Result<std::unique_ptr<Tokenizer>> load(const std::string& tokenizer_json_path);
    /// The same from memory. `json` is copied as needed; `name` stands for it in messages.
    static Result<std::unique_ptr<Tokenizer>> parse(std::string_view json, std::string_view name);

    explicit Tokenizer(std::unique_ptr<const TokenizerParts> parts);
    ~Tokenizer();
    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;

    /// The tokens of `utf8` (any length below 2 GiB, may hold zero bytes). Special tokens that
    /// stand in the text itself are recognised in any case; `add_special_tokens` is about those
    /// that the file's template puts around a text. invalid_argument: not UTF-8 (with the offset of
    /// the first wrong byte) or a byte without a token; resource_exhausted: a pattern that
    /// backtracks without end.
    Result<std::vector<Token>> encode(std::string_view utf8, bool add_special_tokens) const;

    /// One more than the largest token id; ids below may be unused.
    std::int64_t vocabulary_size() const;
    /// The bytes of `token`, which need not be whole characters; empty for an unknown id. Lives as
    /// long as the tokenizer.
    std::string_view token_bytes(Token token) const;
    /// Whether `token` is a control token; false for an unknown id.
    bool is_special(Token token) const;

    /// The text of `tokens`; bytes that are no UTF-8 become U+FFFD, unknown ids nothing.
    std::string decode(std::span<const Token> tokens, bool skip_special) const;

private:
    std::unique_ptr<const TokenizerParts> parts_;
};

}  // namespace molink
