// The steps of encoding: find added tokens, normalise, find added tokens again, split into words,
// BPE, template. All state is local to the call, so one tokenizer serves all threads. Exceptions
// such as allocation failures become a Status here, at the border of the module.
#include "tokenizer/tokenizer.h"

#include <exception>
#include <limits>

#include "base/error.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer_loader.h"
#include "tokenizer/tokenizer_parts.h"
#include "tokenizer/unicode.h"

namespace molink {
namespace {

// State of one call of encode().
class Encoding {
public:
    explicit Encoding(const TokenizerParts& parts) : parts_(parts) {}

    Status run(std::string_view text) {
        std::vector<AddedTokenFinder::Piece> pieces;
        parts_.original_tokens.split(text, pieces);
        for (const auto& piece : pieces) {
            if (piece.token >= 0) {
                tokens_.push_back(piece.token);
            } else if (parts_.normalizer.empty()) {
                MOLINK_RETURN_IF_ERROR(add_normalized(piece.text));
            } else {
                MOLINK_RETURN_IF_ERROR(add_normalized(parts_.normalizer.apply(piece.text)));
            }
        }
        return Status();
    }

    std::vector<Token>& tokens() { return tokens_; }

private:
    Status add_normalized(std::string_view text) {
        std::vector<AddedTokenFinder::Piece> pieces;
        parts_.normalized_tokens.split(text, pieces);
        for (const auto& piece : pieces) {
            if (piece.token >= 0) {
                tokens_.push_back(piece.token);
                continue;
            }
            MOLINK_RETURN_IF_ERROR(
                parts_.pretokenizer.split(piece.text, pretokenizer_workspace_, words_));
            for (std::string_view word : words_) {
                MOLINK_RETURN_IF_ERROR(parts_.bpe.encode(word, bpe_workspace_, tokens_));
            }
        }
        return Status();
    }

    const TokenizerParts& parts_;
    Pretokenizer::Workspace pretokenizer_workspace_;
    Bpe::Workspace bpe_workspace_;
    std::vector<std::string_view> words_;
    std::vector<Token> tokens_;
};

Status status_of(const std::exception& failure, std::string_view what) {
    return make_error(StatusCode::resource_exhausted, "{}: {}", what, failure.what());
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::string& tokenizer_json_path) {
    try {
        MOLINK_ASSIGN_OR_RETURN(const std::string json, read_tokenizer_file(tokenizer_json_path));
        return parse(json, tokenizer_json_path);
    } catch (const std::exception& failure) {
        return status_of(failure, "load tokenizer " + tokenizer_json_path);
    }
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::parse(std::string_view json, std::string_view name) {
    const std::string what = fmt::format("load tokenizer {}", name);
    try {
        auto parts = load_tokenizer_parts(json);
        if (!parts) return parts.error().with_context(what);
        return std::make_unique<Tokenizer>(std::move(parts).value());
    } catch (const std::exception& failure) {
        return status_of(failure, what);
    }
}

Result<std::vector<Token>> Tokenizer::encode(std::string_view utf8, bool add_special_tokens) const {
    if (utf8.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        return invalid_argument("encode a text of {} bytes: at most 2^31 - 1 are permitted",
                                utf8.size());
    }
    if (const auto offset = find_invalid_utf8(utf8)) {
        return invalid_argument("encode a text of {} bytes: byte {} (0x{:02x}) is not UTF-8",
                                utf8.size(), *offset, static_cast<unsigned char>(utf8[*offset]));
    }
    const auto context = [&] { return fmt::format("encode a text of {} bytes", utf8.size()); };
    try {
        Encoding encoding(*parts_);
        const Status status = encoding.run(utf8);
        if (!status.ok()) return status.with_context(context());
        return parts_->post_processor.apply(std::move(encoding.tokens()), add_special_tokens);
    } catch (const std::exception& failure) {
        return status_of(failure, context());
    }
}

std::int64_t Tokenizer::vocabulary_size() const {
    return static_cast<std::int64_t>(parts_->token_bytes.size());
}

std::string_view Tokenizer::token_bytes(Token token) const {
    if (token < 0 || token >= vocabulary_size()) return {};
    return parts_->token_bytes[static_cast<std::size_t>(token)];
}

bool Tokenizer::is_special(Token token) const {
    if (token < 0 || token >= vocabulary_size()) return false;
    return parts_->special[static_cast<std::size_t>(token)];
}

std::string Tokenizer::decode(std::span<const Token> tokens, bool skip_special) const {
    std::string bytes;
    for (const Token token : tokens) {
        if (!(skip_special && is_special(token))) bytes += token_bytes(token);
    }
    Utf8Stream stream;
    std::string text = stream.push(bytes);
    text += stream.flush();
    return text;
}

}  // namespace molink
