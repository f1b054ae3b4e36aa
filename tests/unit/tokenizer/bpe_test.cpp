// Compares BPE, which uses a heap of candidates, with its definition: the merge of the lowest rank
// comes first, and the leftmost of equal ones.
#include "tokenizer/bpe.h"

#include "support/catch.h"

using namespace molink;

namespace {

constexpr int kLetters = 3;  // few letters, so that merges overlap and compete

struct Model {
    std::vector<BpeMerge> merges;
    std::vector<std::string> content;  // of the tokens from 256 on
};

std::uint32_t next_random(std::uint32_t& state) {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

// Returns random merges over "abc" in which every content has one token.
Model random_model(std::uint32_t& state, int merge_count) {
    Model model;
    std::vector<std::pair<Token, std::string>> known;
    for (int i = 0; i < kLetters; ++i) known.emplace_back('a' + i, std::string(1, char('a' + i)));
    while (static_cast<int>(model.merges.size()) < merge_count) {
        const auto left = known[next_random(state) % known.size()];
        const auto right = known[next_random(state) % known.size()];
        const std::string joined = left.second + right.second;
        bool exists = joined.size() > 6;
        for (const auto& entry : known) exists = exists || entry.second == joined;
        if (exists) continue;
        const Token token = 256 + static_cast<Token>(model.merges.size());
        model.merges.push_back({left.first, right.first, token});
        known.emplace_back(token, joined);
    }
    return model;
}

std::vector<Token> encode_by_definition(const Model& model, const std::string& word) {
    std::vector<Token> tokens(word.begin(), word.end());
    for (;;) {
        std::size_t best_rank = model.merges.size();
        std::size_t best_at = 0;
        for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
            for (std::size_t rank = 0; rank < best_rank; ++rank) {
                const BpeMerge& merge = model.merges[rank];
                if (merge.left != tokens[i] || merge.right != tokens[i + 1]) continue;
                best_rank = rank;
                best_at = i;
            }
        }
        if (best_rank == model.merges.size()) return tokens;
        tokens[best_at] = model.merges[best_rank].merged;
        tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
    }
}

BpeModel byte_model() {
    BpeModel model;
    for (int byte = 0; byte < 256; ++byte) model.byte_tokens[static_cast<std::size_t>(byte)] = byte;
    return model;
}

}  // namespace

TEST_CASE("BPE agrees with its definition on random merges and words", "[bpe]") {
    std::uint32_t state = 42;
    Bpe::Workspace workspace;
    for (int round = 0; round < 200; ++round) {
        const Model model = random_model(state, 1 + static_cast<int>(next_random(state) % 12));
        BpeModel bpe_model = byte_model();
        bpe_model.merges = model.merges;
        const Bpe bpe(std::move(bpe_model));
        for (int i = 0; i < 20; ++i) {
            std::string word;
            for (std::uint32_t n = next_random(state) % 40; n > 0; --n) {
                word += static_cast<char>('a' + next_random(state) % kLetters);
            }
            std::vector<Token> tokens;
            REQUIRE(bpe.encode(word, workspace, tokens).ok());
            INFO("round " << round << ", word " << word);
            REQUIRE(tokens == encode_by_definition(model, word));
        }
    }
}

TEST_CASE("of two equal merges the later rank counts", "[bpe]") {
    BpeModel model = byte_model();
    model.merges = {{'a', 'b', 256}, {'b', 'c', 257}, {'a', 'b', 256}};
    const Bpe bpe(std::move(model));
    Bpe::Workspace workspace;
    std::vector<Token> tokens;
    REQUIRE(bpe.encode("abc", workspace, tokens).ok());
    CHECK(tokens == std::vector<Token>{'a', 257});
}

TEST_CASE("encode appends to its output", "[bpe]") {
    const Bpe bpe(byte_model());
    Bpe::Workspace workspace;
    std::vector<Token> tokens = {7};
    REQUIRE(bpe.encode("ab", workspace, tokens).ok());
    REQUIRE(bpe.encode("", workspace, tokens).ok());
    CHECK(tokens == std::vector<Token>{7, 'a', 'b'});
}
