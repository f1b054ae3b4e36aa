#pragma once

#include <memory>
#include <string>
#include <vector>

#include <molink/types.h>

#include "tokenizer/tokenizer.h"

namespace molink::test {

/// Makes the text of a tokenizer file. The ids 0 to 255 are the bytes, those from 256 on are the
/// results of the merges in order ("h e" is 256), then the added tokens. Change members, then call
/// json().
struct TinyTokenizer {
    std::vector<std::string> merges = {"h e", "l l", "he ll", "hell o", "\xC4\xA0 w", "o r"};
    bool merges_as_pairs = false;
    std::string added_tokens = "[]";
    std::string normalizer = "null";
    std::string pre_tokenizer =
        R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})";
    std::string post_processor = "null";
    std::string decoder = R"({"type":"ByteLevel"})";
    std::string model_options;  ///< more members of "model", each followed by a comma

    std::string json() const;
    /// Parses json(). An error fails the test.
    std::unique_ptr<Tokenizer> make() const;
};

/// Ids of TinyTokenizer's default merges.
inline constexpr Token kHe = 256;
inline constexpr Token kLl = 257;
inline constexpr Token kHell = 258;
inline constexpr Token kHello = 259;
inline constexpr Token kSpaceW = 260;
inline constexpr Token kOr = 261;
inline constexpr Token kFirstAdded = 262;

/// Returns an entry of added_tokens. `flags` are more members, such as R"("lstrip":true)".
std::string added_token(Token id, const std::string& content, const std::string& flags = "");

/// Calls encode(). An error fails the test.
std::vector<Token> tokens_of(const Tokenizer& tokenizer, std::string_view text,
                             bool add_special_tokens = false);

}  // namespace molink::test
