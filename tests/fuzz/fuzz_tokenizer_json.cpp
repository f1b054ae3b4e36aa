// Parses a tokenizer.json; a text for it follows after the first NUL byte. If the file is accepted,
// it must process any text and ids: that text, a fixed one, and ids from the bytes of the text.
#include "fuzz_input.h"
#include "tokenizer_checks.h"

using namespace molink;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view all(reinterpret_cast<const char*>(data), size);
    const std::size_t nul = all.find('\0');
    const auto tokenizer = Tokenizer::parse(all.substr(0, nul), "input");
    if (!tokenizer) {
        const StatusCode code = tokenizer.error().code();
        FUZZ_CHECK(code == StatusCode::invalid_argument || code == StatusCode::unimplemented);
        return 0;
    }
    const Tokenizer& made = **tokenizer;
    FUZZ_CHECK(made.vocabulary_size() >= 0);
    const std::string_view text = nul == std::string_view::npos ? "" : all.substr(nul + 1);
    std::vector<Token> tokens;
    for (const std::string_view sample : {text, std::string_view("It's  1234\n\ta \xc3\xa9.")}) {
        tokens.clear();
        fuzz::check_encode(made, sample, tokens);
        fuzz::check_decode(made, tokens);
    }
    tokens.clear();
    for (const char c : text) tokens.push_back(static_cast<signed char>(c));
    fuzz::check_decode(made, tokens);
    return 0;
}
