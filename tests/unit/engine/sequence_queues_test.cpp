// Queues of sequences by state: each transition moves a sequence to one queue and keeps the order.
#include "engine/sequence_queues.h"

#include <vector>

#include "support/catch.h"

using namespace molink;

namespace {

SequenceView view(std::uint64_t id, std::int64_t arrival_us) {
    SequenceView made;
    made.id = SequenceId(id);
    made.arrival_us = arrival_us;
    return made;
}

std::vector<std::uint64_t> ids(SequenceQueues::Span queue) {
    std::vector<std::uint64_t> list;
    for (const SequenceView* item : queue) list.push_back(item->id.value);
    return list;
}

using Ids = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("a sequence is in the queue of its state and in no other") {
    SequenceQueues queues;
    SequenceView a = view(1, 10);
    queues.add(a);
    REQUIRE(ids(queues.waiting()) == Ids{1});
    REQUIRE(queues.running() == 0);
    queues.admit(a);
    REQUIRE(queues.waiting().empty());
    REQUIRE(ids(queues.prefilling()) == Ids{1});
    REQUIRE(queues.running() == 1);
    queues.end_prefill(a);
    REQUIRE(a.state == SequenceState::in_flight);
    REQUIRE(queues.idle());
    queues.make_decodable(a);
    REQUIRE(ids(queues.decodable()) == Ids{1});
    queues.begin_decode(a);
    REQUIRE(queues.idle());
    REQUIRE(queues.running() == 1);
    queues.finish(a);
    REQUIRE(a.state == SequenceState::finished);
    REQUIRE(queues.running() == 0);
}

TEST_CASE("a preempted sequence waits in the order of arrival") {
    SequenceQueues queues;
    SequenceView a = view(1, 10);
    SequenceView b = view(2, 10);
    SequenceView c = view(3, 20);
    SequenceView d = view(4, 30);
    for (SequenceView* item : {&a, &b, &c, &d}) queues.add(*item);
    queues.admit(b);
    queues.admit(c);
    queues.preempt(c);
    REQUIRE(ids(queues.waiting()) == Ids{1, 3, 4});
    queues.preempt(b);  // arrived with the first one, but has a higher id
    REQUIRE(ids(queues.waiting()) == Ids{1, 2, 3, 4});
    REQUIRE(queues.running() == 0);
}

TEST_CASE("decodable sequences are queued in the order in which they became decodable") {
    SequenceQueues queues;
    SequenceView a = view(1, 10);
    SequenceView b = view(2, 20);
    for (SequenceView* item : {&a, &b}) {
        queues.add(*item);
        queues.admit(*item);
        queues.end_prefill(*item);
    }
    queues.make_decodable(b);
    queues.make_decodable(a);
    REQUIRE(ids(queues.decodable()) == Ids{2, 1});
    queues.finish(b);
    REQUIRE(ids(queues.decodable()) == Ids{1});
    REQUIRE(queues.running() == 1);
    queues.clear();
    REQUIRE(queues.idle());
    REQUIRE(queues.running() == 0);
}
