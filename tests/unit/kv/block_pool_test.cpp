// Accounting of KV blocks: reservations, references, the self-check.
#include "kv/block_pool.h"

#include <set>

#include "base/random.h"
#include "support/catch.h"

using namespace molink;

TEST_CASE("a reservation is a promise that later reservations respect") {
    BlockPool pool(4);
    REQUIRE(pool.reserve(3));
    REQUIRE(pool.available() == 1);
    REQUIRE_FALSE(pool.reserve(2));
    REQUIRE_FALSE(pool.reserve(-1));
    const BlockId block = pool.take();
    REQUIRE(pool.available() == 1);
    REQUIRE(pool.release(block).ok());
    REQUIRE(pool.available() == 2);
    pool.cancel_reservation(2);
    REQUIRE(pool.available() == 4);
    REQUIRE(pool.check().ok());
}

TEST_CASE("a shared block is freed by its last holder") {
    BlockPool pool(1);
    REQUIRE(pool.reserve(1));
    const BlockId block = pool.take();
    pool.share(block);
    REQUIRE(pool.release(block).ok());
    REQUIRE(pool.free_count() == 0);
    REQUIRE(pool.release(block).ok());
    REQUIRE(pool.free_count() == 1);
    REQUIRE(pool.release(block).code() == StatusCode::internal);
    REQUIRE(pool.release(BlockId(7)).code() == StatusCode::internal);
}

TEST_CASE("random use never lends a block twice") {
    Random random(11);
    BlockPool pool(50);
    std::multiset<std::uint32_t> held;
    for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t what = random.below(3);
        if (what == 0 && pool.reserve(1)) {
            const std::uint32_t id = pool.take().value;
            REQUIRE(held.count(id) == 0);
            held.insert(id);
        } else if (what == 1 && !held.empty()) {
            auto any = held.begin();
            std::advance(any, static_cast<std::ptrdiff_t>(random.below(held.size())));
            pool.share(BlockId(*any));
            held.insert(*any);
        } else if (!held.empty()) {
            auto any = held.begin();
            std::advance(any, static_cast<std::ptrdiff_t>(random.below(held.size())));
            REQUIRE(pool.release(BlockId(*any)).ok());
            held.erase(any);
        }
    }
    REQUIRE(pool.check().ok());
}
