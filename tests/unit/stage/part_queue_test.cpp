// The order in which a stage runs waiting parts.
#include "stage/part_queue.h"

#include <utility>
#include <vector>

#include "base/limits.h"
#include "support/catch.h"

using namespace molink;

namespace {

void push(PartQueue& queue, StageInput input, std::uint64_t id) {
    std::visit(
        [&](auto& part) {
            if constexpr (requires { part.key; }) part.key.id = PartId(id);
        },
        input);
    queue.push(std::move(input), static_cast<std::int64_t>(10 * id));
}

void push(PartQueue& queue, PartKind kind, std::uint64_t id) {
    PartPlan plan;
    if (kind == PartKind::prefill) plan.rows = std::vector<PrefillRows>();
    push(queue, plan, id);
}

/// Removes all parts and returns their ids in this order.
std::vector<std::uint64_t> order(PartQueue& queue) {
    std::vector<std::uint64_t> ids;
    while (const auto waiting = queue.pop()) {
        const std::uint64_t id = key_of(waiting->input).id.value;
        REQUIRE(waiting->arrival_us == static_cast<std::int64_t>(10 * id));
        ids.push_back(id);
    }
    REQUIRE(queue.empty());
    return ids;
}

}  // namespace

TEST_CASE("decode overtakes prefill, but prefill has a turn after a few decode parts") {
    static_assert(limits::kDecodesBeforePrefill == 4);
    PartQueue queue;
    push(queue, PartKind::prefill, 1);
    push(queue, PartKind::prefill, 2);
    for (std::uint64_t id = 3; id <= 12; ++id) push(queue, PartKind::decode, id);
    REQUIRE(order(queue) == std::vector<std::uint64_t>{3, 4, 5, 6, 1, 7, 8, 9, 10, 2, 11, 12});
}

TEST_CASE("parts that return to the LM head are as urgent as decode") {
    PartQueue queue;
    push(queue, PartKind::prefill, 1);
    ReturnedPart returned;
    returned.kind = PartKind::prefill;
    push(queue, returned, 2);
    push(queue, PartKind::decode, 3);
    REQUIRE(order(queue) == std::vector<std::uint64_t>{2, 3, 1});
}

TEST_CASE("turns are counted from zero after a clear") {
    PartQueue queue;
    for (std::uint64_t id = 1; id <= 4; ++id) push(queue, PartKind::decode, id);
    (void)order(queue);
    push(queue, PartKind::prefill, 5);
    queue.clear();
    REQUIRE_FALSE(queue.pop().has_value());
    push(queue, PartKind::prefill, 6);
    for (std::uint64_t id = 7; id <= 11; ++id) push(queue, PartKind::decode, id);
    REQUIRE(order(queue) == std::vector<std::uint64_t>{7, 8, 9, 10, 6, 11});
}
