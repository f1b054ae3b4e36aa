// Runs arbitrary text and ids on the tokenizers of the golden tests. The first byte chooses one.
// The rest is the text and also, read as 16-bit numbers, the ids. If the tokenizer does not rewrite
// text, the tokens give back every byte of it.
#include <array>
#include <memory>
#include <string>

#include "fuzz_input.h"
#include "tokenizer/unicode.h"
#include "tokenizer_checks.h"

using namespace molink;

namespace {

enum class RoundTrip { exact, nfc, none };

/// Returns whether the text has added tokens of gpt2.json that consume the spaces beside them.
bool holds_greedy_token(std::string_view text) {
    return text.find("<mask>") != text.npos || text.find("[R]") != text.npos;
}

struct Choice {
    const char* file;
    RoundTrip round_trip;
};

constexpr std::array<Choice, 4> kChoices = {{{"gpt2.json", RoundTrip::exact},
                                             {"llama3.json", RoundTrip::exact},
                                             {"qwen2.json", RoundTrip::nfc},
                                             {"steps.json", RoundTrip::none}}};

const Tokenizer& tokenizer_of(std::size_t index) {
    static std::array<std::unique_ptr<Tokenizer>, kChoices.size()> made;
    if (!made[index]) {
        const std::string folder = MOLINK_SOURCE_DIR "/tests/golden/data/tokenizer/";
        auto loaded = Tokenizer::load(folder + kChoices[index].file);
        FUZZ_CHECK(loaded.has_value());
        made[index] = std::move(loaded).value();
    }
    return *made[index];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    const std::size_t choice = input.below(kChoices.size());
    const Tokenizer& tokenizer = tokenizer_of(choice);
    fuzz::FuzzInput as_ids = input;
    const std::string_view text = input.rest();
    std::vector<Token> tokens;
    const bool encoded = fuzz::check_encode(tokenizer, text, tokens);
    FUZZ_CHECK(encoded == fuzz::is_utf8(text));
    fuzz::check_decode(tokenizer, tokens);
    if (encoded && kChoices[choice].round_trip != RoundTrip::none && !holds_greedy_token(text)) {
        const bool nfc = kChoices[choice].round_trip == RoundTrip::nfc;
        const std::string expected =
            nfc ? normalize_utf8(text, NormalizationForm::nfc) : std::string(text);
        FUZZ_CHECK(tokenizer.decode(tokens, false) == expected);
    }
    tokens.clear();
    while (!as_ids.empty()) tokens.push_back(static_cast<std::int16_t>(as_ids.u16()));
    fuzz::check_decode(tokenizer, tokens);
    return 0;
}
