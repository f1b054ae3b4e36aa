// KV blocks of sequences: reservation, allocation, the prefix cache, and the check of the accounts.
#include "engine/kv_ledger.h"

#include <array>

#include "engine_samples.h"
#include "support/catch.h"

using namespace molink;
using test::waiting;

namespace {

constexpr std::int32_t kBlock = 4;

KvLedger ledger_of(std::int64_t blocks, bool prefix_cache = true) {
    KvLedger ledger(kBlock, prefix_cache);
    ledger.begin(blocks);
    return ledger;
}

void admit(KvLedger& ledger, Sequence& sequence) {
    ledger.admit(sequence);
    sequence.view.state = SequenceState::prefilling;
}

}  // namespace

TEST_CASE("the blocks of a prompt are reserved at admission and allocated by position") {
    KvLedger ledger = ledger_of(10);
    Sequence a = waiting(1, 10, 4);
    ledger.refresh_need(a);
    REQUIRE(a.view.blocks_needed == 3);
    admit(ledger, a);
    REQUIRE(ledger.available() == 7);
    REQUIRE(ledger.extend(a, 5).size() == 2);
    REQUIRE(ledger.extend(a, 8).empty());
    REQUIRE(ledger.extend(a, 10).size() == 1);
    REQUIRE(ledger.available() == 7);
    const std::array holders{static_cast<const Sequence*>(&a)};
    REQUIRE(ledger.check(holders).ok());
    REQUIRE(ledger.check({}).code() == StatusCode::internal);
}

TEST_CASE("a decoding sequence needs a block only when its next row begins one") {
    KvLedger ledger = ledger_of(10);
    Sequence a = waiting(1, 7, 8);
    admit(ledger, a);
    ledger.extend(a, 7);
    a.view.state = SequenceState::decodable;
    a.view.scheduled = 7;
    ledger.refresh_need(a);
    REQUIRE(a.view.blocks_needed == 0);
    a.view.scheduled = 8;
    ledger.refresh_need(a);
    REQUIRE(a.view.blocks_needed == 1);
    ledger.extend(a, 13);  // a row and four drafts
    a.view.scheduled = 9;  // the drafts were not kept
    ledger.refresh_need(a);
    REQUIRE(a.view.blocks_held == 4);
    REQUIRE(a.view.blocks_needed == 0);
}

TEST_CASE("a later prompt shares the full, published blocks of an earlier one") {
    KvLedger ledger = ledger_of(10);
    Sequence a = waiting(1, 10, 4);
    admit(ledger, a);
    ledger.extend(a, 10);
    ledger.publish(a, 7);  // one full block; the second one is only partly computed
    Sequence b = waiting(2, 10, 4);
    const std::array queue{static_cast<const SequenceView*>(&b.view)};
    ledger.look_up_prefixes(queue, [&](SequenceId) { return &b; });
    REQUIRE(b.view.scheduled == kBlock);
    REQUIRE(b.view.blocks_needed == 2);
    admit(ledger, b);
    REQUIRE(b.blocks == std::vector<BlockId>{a.blocks[0]});
    REQUIRE(b.view.scheduled == kBlock);
    REQUIRE(ledger.release(a).ok());
    REQUIRE(ledger.release(b).ok());
    REQUIRE(ledger.available() == 10);
    REQUIRE(ledger.check({}).ok());
    MetricsSnapshot metrics;
    ledger.fill_metrics(metrics);
    REQUIRE(metrics.prefix_hits == 1);
    REQUIRE(metrics.prefix_hit_tokens == kBlock);
    REQUIRE(metrics.kv_blocks_cached == 1);
}

TEST_CASE("the last position of a prompt is computed although the cache holds its block") {
    KvLedger ledger = ledger_of(10);
    Sequence a = waiting(1, 8, 4);
    admit(ledger, a);
    ledger.extend(a, 8);
    ledger.publish(a, 8);
    Sequence b = waiting(2, 8, 4);
    admit(ledger, b);
    REQUIRE(b.view.scheduled == kBlock);
    REQUIRE(b.reserved_blocks == 1);
}

TEST_CASE("without a prefix cache nothing is shared") {
    KvLedger ledger = ledger_of(10, false);
    Sequence a = waiting(1, 8, 4);
    admit(ledger, a);
    ledger.extend(a, 8);
    ledger.publish(a, 8);
    Sequence b = waiting(2, 8, 4);
    admit(ledger, b);
    REQUIRE(b.view.scheduled == 0);
    REQUIRE(b.reserved_blocks == 2);
    REQUIRE(ledger.release(a).ok());
    REQUIRE(ledger.available() == 8);
}
