// The oracle of the fold model. It computes a sequence from the first token to the last with plain
// arrays indexed by position. It shares the sampler's arithmetic with the stages, but not the code
// that decides which position, history or sampling parameters belong to a row.
#include "sim/fold.h"

#include <algorithm>
#include <memory>

#include "base/random.h"
#include "sampling/sampler.h"
#include "tokenizer/detokenizer.h"

namespace molink::sim {
namespace {

std::string tokenizer_json() {
    const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    std::vector<std::string> tokens;
    for (char letter : letters) tokens.emplace_back(1, letter);
    tokens.emplace_back("\xc4\xa0");  // a space, as byte-level vocabularies write it
    tokens.emplace_back(".");
    tokens.emplace_back("\xc3\x83");  // byte C3: the first half of an accented letter
    tokens.emplace_back("\xc2\xa9");  // byte A9: the second half of one
    while (tokens.size() < static_cast<std::size_t>(kFoldEos)) {
        const std::size_t i = tokens.size();
        // Both letters repeat after 26 tokens, so the last few take another second one.
        tokens.push_back({letters[i % 26], letters[26 + (i * 7 + i / 92) % 26]});
    }
    std::string vocabulary;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        vocabulary += (i == 0 ? "\"" : ",\"") + tokens[i] + "\":" + std::to_string(i);
    }
    return R"({"version":"1.0","added_tokens":[{"id":)" + std::to_string(kFoldEos) +
           R"(,"content":"<e>","special":true,"single_word":false,"lstrip":false,"rstrip":false,)"
           R"("normalized":false}],"normalizer":null,"post_processor":null,)"
           R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},)"
           R"("decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{)" +
           vocabulary + R"(},"merges":[]}})";
}

/// The KV slots of one sequence without blocks: [layers][positions].
class Pages {
public:
    explicit Pages(const FoldLayers& layers)
        : overflows_(layers.overflows), slots_(static_cast<std::size_t>(layers.count)) {}

    /// Adds the next position. Returns its hidden value after the last layer. Sets `failed` when a
    /// layer gives no number; no further position can be added then.
    std::uint64_t run(Token token, std::int32_t position, std::optional<ExpectedFault>& failed) {
        std::uint64_t hidden = fold_embed(token);
        for (std::size_t layer = 0; layer < slots_.size(); ++layer) {
            auto& slots = slots_[layer];
            slots.push_back(fold_slot(hidden, static_cast<std::int32_t>(layer), position));
            std::uint64_t sum = hidden;
            for (std::size_t p = 0; p < slots.size(); ++p) {
                sum = fold_add(sum, slots[p], static_cast<std::int32_t>(p));
            }
            hidden = fold_overflow(sum, overflows_);
            if (hidden == kFoldNan) {
                failed = ExpectedFault{position, static_cast<std::int32_t>(layer)};
                return hidden;
            }
        }
        return hidden;
    }

private:
    double overflows_;
    std::vector<std::vector<std::uint64_t>> slots_;
};

/// Chooses the token of one position as request.h describes it.
Token choose(const GenerateRequest& request, std::int32_t index, const std::vector<Token>& tokens,
             std::vector<float> logits) {
    const SamplingParams& params = request.sampling;
    const std::size_t prompt = request.prompt_tokens.size();
    TokenHistory history;
    const bool penalties = params.repetition_penalty != 1 || params.presence_penalty != 0 ||
                           params.frequency_penalty != 0;
    if (penalties) history.advance(tokens, tokens.size(), prompt);
    std::vector<Token> forbidden;
    if (static_cast<std::int32_t>(tokens.size() - prompt) < request.min_tokens) {
        forbidden = request.stop_tokens;
        if (!request.ignore_eos) forbidden.push_back(kFoldEos);
    }
    adjust_logits(logits, params, history, forbidden);
    std::uint64_t seed = params.seed.value_or(0);
    if (index > 0) seed = counter_random(seed, static_cast<std::uint64_t>(index), 1);
    const SamplerState state{params.temperature, seed, params.top_k, params.top_p, params.min_p};
    return sample_token(logits, state, static_cast<std::int64_t>(tokens.size()));
}

/// Builds the expected text token by token and finds the first stop string.
class ExpectedText {
public:
    explicit ExpectedText(const GenerateRequest& request)
        : request_(request), detokenizer_(fold_tokenizer(), true) {}

    /// Appends a token. Returns true when a stop string ends the text.
    bool push(Token token, std::size_t output_count) {
        text_ += detokenizer_.push(token);
        if (output_count <= static_cast<std::size_t>(request_.min_tokens)) {
            begin_ = text_.size();
            return false;
        }
        std::size_t first = std::string::npos;
        for (const std::string& stop : request_.stop) {
            first = std::min(first, text_.find(stop, begin_));
        }
        if (first == std::string::npos) return false;
        text_.resize(first);
        return true;
    }
    std::string finish() { return text_ + detokenizer_.flush(); }
    const std::string& text() const { return text_; }

private:
    const GenerateRequest& request_;
    Detokenizer detokenizer_;
    std::string text_;
    std::size_t begin_ = 0;
};

}  // namespace

const Tokenizer& fold_tokenizer() {
    static const std::unique_ptr<const Tokenizer> tokenizer = [] {
        auto parsed = Tokenizer::parse(tokenizer_json(), "fold");
        return std::move(*parsed);
    }();
    return *tokenizer;
}

Expected expect(const GenerateRequest& request, std::int32_t index, const FoldLayers& layers) {
    Expected expected;
    Pages pages(layers);
    ExpectedText text(request);
    std::vector<Token> tokens = request.prompt_tokens;
    std::vector<float> logits(static_cast<std::size_t>(kFoldVocabulary));
    for (std::size_t p = 0; expected.reason == FinishReason::none; ++p) {
        const std::uint64_t hidden =
            pages.run(tokens[p], static_cast<std::int32_t>(p), expected.fault);
        if (expected.fault) {
            expected.reason = FinishReason::error;
            expected.text = text.finish();
            break;
        }
        const bool last = p + 1 == tokens.size();
        if (!last && !request.hash_logits) continue;
        fold_logits(hidden, logits);
        if (request.hash_logits) expected.logit_hashes.push_back(hash_logits(logits));
        if (!last) continue;
        const Token token = choose(request, index, tokens, logits);
        const auto& stops = request.stop_tokens;
        const bool stop = std::find(stops.begin(), stops.end(), token) != stops.end();
        if (stop || (token == kFoldEos && !request.ignore_eos)) {
            expected.reason = FinishReason::stop;
            expected.text = text.finish();
            break;
        }
        tokens.push_back(token);
        expected.tokens.push_back(token);
        if (text.push(token, expected.tokens.size())) {
            expected.reason = FinishReason::stop;
            expected.text = text.text();
        } else if (static_cast<std::int32_t>(expected.tokens.size()) == request.max_tokens) {
            expected.reason = FinishReason::length;
            expected.text = text.finish();
        }
    }
    return expected;
}

}  // namespace molink::sim
