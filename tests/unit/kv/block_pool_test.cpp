// The block pool: every block is in exactly one place, idle blocks are evicted in the order in
// which they became idle, and the self-check detects wrong accounts.
#include "kv/block_pool.h"

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

using namespace molink;

namespace {

std::vector<std::uint32_t> holders_of(const BlockPool& pool) {
    std::vector<std::uint32_t> holders;
    for (std::uint32_t id = 0; id < static_cast<std::uint32_t>(pool.total()); ++id) {
        holders.push_back(pool.references(BlockId(id)));
    }
    return holders;
}

BlockId allocate_one(BlockPool& pool) {
    REQUIRE(pool.reserve(1));
    return pool.allocate().block;
}

}  // namespace

TEST_CASE("a reservation beyond the available blocks is refused") {
    BlockPool pool(4);
    REQUIRE(pool.reserve(3));
    REQUIRE(pool.available() == 1);
    REQUIRE_FALSE(pool.reserve(2));
    REQUIRE_FALSE(pool.reserve(-1));
    REQUIRE(pool.available() == 1);
    const BlockId first = pool.allocate().block;
    REQUIRE(pool.available() == 1);
    pool.cancel_reservation(2);
    REQUIRE(pool.available() == 3);
    REQUIRE(pool.release(first).ok());
    REQUIRE(pool.available() == 4);
}

TEST_CASE("a shared block is freed by its last holder, and only once") {
    BlockPool pool(2);
    const BlockId block = allocate_one(pool);
    pool.share(block);
    REQUIRE(pool.release(block).ok());
    REQUIRE(pool.available() == 1);
    REQUIRE(pool.release(block).ok());
    REQUIRE(pool.available() == 2);
    REQUIRE(pool.release(block).code() == StatusCode::internal);
    REQUIRE(pool.release(BlockId(7)).message().find("block 7 of 2") != std::string::npos);
}

TEST_CASE(
    "kept blocks become idle, can be shared again, and are evicted in the order they became idle") {
    BlockPool pool(3);
    const BlockId a = allocate_one(pool);
    const BlockId b = allocate_one(pool);
    const BlockId c = allocate_one(pool);
    for (BlockId block : {a, b, c}) pool.keep(block);
    for (BlockId block : {b, a, c}) REQUIRE(pool.release(block).ok());
    REQUIRE(pool.idle_count() == 3);
    REQUIRE(pool.available() == 3);
    pool.share(a);
    REQUIRE(pool.idle_count() == 2);
    REQUIRE(pool.available() == 2);
    REQUIRE(pool.reserve(2));
    const BlockPool::Allocated first = pool.allocate();
    REQUIRE(first.evicted);
    REQUIRE(first.block == b);
    REQUIRE(pool.allocate().block == c);
    REQUIRE(pool.release(first.block).ok());
    REQUIRE(pool.free_count() == 1);  // an evicted block is no longer kept
    REQUIRE(pool.check(holders_of(pool)).ok());
}

TEST_CASE("the self-check compares references with holders") {
    BlockPool pool(2);
    const BlockId block = allocate_one(pool);
    auto holders = holders_of(pool);
    REQUIRE(pool.check(holders).ok());
    holders[block.value] = 0;
    REQUIRE(pool.check(holders).message().find("1 references; 0 sequences") != std::string::npos);
    REQUIRE_FALSE(pool.check({}).ok());
}

TEST_CASE("random use never loses a block") {
    Random random(7);
    for (int round = 0; round < 50; ++round) {
        BlockPool pool(static_cast<std::int64_t>(1 + random.below(20)));
        std::vector<BlockId> held;
        std::vector<BlockId> kept;
        for (int i = 0; i < 400; ++i) {
            const std::uint64_t choice = random.below(4);
            if (choice == 0 && pool.reserve(1)) {
                const BlockPool::Allocated allocated = pool.allocate();
                if (allocated.evicted) std::erase(kept, allocated.block);
                held.push_back(allocated.block);
            } else if (choice == 1 && !held.empty()) {
                const BlockId block = held[random.below(held.size())];
                pool.share(block);
                held.push_back(block);
            } else if (choice == 2 && !held.empty()) {
                const BlockId block = held[random.below(held.size())];
                pool.keep(block);
                if (std::find(kept.begin(), kept.end(), block) == kept.end()) kept.push_back(block);
            } else if (choice == 3 && !held.empty()) {
                const std::size_t at = random.below(held.size());
                REQUIRE(pool.release(held[at]).ok());
                held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
            }
            std::vector<std::uint32_t> holders(static_cast<std::size_t>(pool.total()), 0);
            for (BlockId block : held) ++holders[block.value];
            REQUIRE(pool.check(holders).ok());
            if (!kept.empty()) {  // a cache may share any block that it keeps
                const BlockId block = kept[random.below(kept.size())];
                pool.share(block);
                held.push_back(block);
            }
            if (held.size() > 60) {
                for (BlockId block : held) REQUIRE(pool.release(block).ok());
                held.clear();
            }
        }
    }
}
