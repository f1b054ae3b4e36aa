// The prefix index: chains are found token by token, never by hash alone, and a chain whose
// beginning is gone cannot be reached.
#include "kv/prefix_index.h"

#include <vector>

#include "support/catch.h"

using namespace molink;

namespace {
const std::vector<Token> kFirst{1, 2, 3, 4};
const std::vector<Token> kSecond{5, 6, 7, 8};
}  // namespace

TEST_CASE("chains are found from the beginning only") {
    PrefixIndex index;
    const auto a = index.publish(PrefixIndex::kRoot, kFirst, BlockId(3));
    const auto b = index.publish(a.key, kSecond, BlockId(5));
    REQUIRE(index.find(PrefixIndex::kRoot, kFirst)->block == BlockId(3));
    REQUIRE(index.find(a.key, kSecond)->key == b.key);
    REQUIRE_FALSE(index.find(PrefixIndex::kRoot, kSecond));
    REQUIRE_FALSE(index.find(a.key, kFirst));
    REQUIRE_FALSE(index.find(PrefixIndex::kRoot, std::vector<Token>{1, 2, 3, 5}));
}

TEST_CASE("equal content is entered once") {
    PrefixIndex index;
    const auto a = index.publish(PrefixIndex::kRoot, kFirst, BlockId(3));
    const auto again = index.publish(PrefixIndex::kRoot, kFirst, BlockId(4));
    REQUIRE(again.key == a.key);
    REQUIRE(again.block == BlockId(3));
    REQUIRE(index.size() == 1);
    index.forget(BlockId(4));  // never entered
    REQUIRE(index.find(PrefixIndex::kRoot, kFirst));
}

TEST_CASE("what was forgotten and entered again does not revive what hung on it") {
    PrefixIndex index;
    const auto a = index.publish(PrefixIndex::kRoot, kFirst, BlockId(3));
    index.publish(a.key, kSecond, BlockId(5));
    index.forget(BlockId(3));
    REQUIRE_FALSE(index.find(PrefixIndex::kRoot, kFirst));
    const auto anew = index.publish(PrefixIndex::kRoot, kFirst, BlockId(3));
    REQUIRE(anew.key != a.key);
    REQUIRE_FALSE(index.find(anew.key, kSecond));
    index.publish(PrefixIndex::kRoot, kSecond, BlockId(5));  // the orphan's block is used anew
    REQUIRE(index.size() == 2);
    index.clear();
    REQUIRE(index.size() == 0);
}
