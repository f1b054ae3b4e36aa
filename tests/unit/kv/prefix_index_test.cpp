// The prefix index: blocks are found by their tokens, never by a hash alone, and a chain of blocks
// cannot be reached when its beginning is gone.
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

TEST_CASE("equal content is published once") {
    PrefixIndex index;
    const auto a = index.publish(PrefixIndex::kRoot, kFirst, BlockId(3));
    const auto again = index.publish(PrefixIndex::kRoot, kFirst, BlockId(4));
    REQUIRE(again.key == a.key);
    REQUIRE(again.block == BlockId(3));
    REQUIRE(index.size() == 1);
    index.forget(BlockId(4));  // was never published
    REQUIRE(index.find(PrefixIndex::kRoot, kFirst));
}

TEST_CASE("a block that is forgotten and published again does not revive the blocks after it") {
    PrefixIndex index;
    const auto a = index.publish(PrefixIndex::kRoot, kFirst, BlockId(3));
    index.publish(a.key, kSecond, BlockId(5));
    index.forget(BlockId(3));
    REQUIRE_FALSE(index.find(PrefixIndex::kRoot, kFirst));
    const auto anew = index.publish(PrefixIndex::kRoot, kFirst, BlockId(3));
    REQUIRE(anew.key != a.key);
    REQUIRE_FALSE(index.find(anew.key, kSecond));
    index.publish(PrefixIndex::kRoot, kSecond, BlockId(5));  // the block is used again
    REQUIRE(index.size() == 2);
    index.clear();
    REQUIRE(index.size() == 0);
}
