// The states of sequences. Each transition names the state it starts from, and a checked build
// stops at one that starts elsewhere: a policy that saw a sequence in two queues would plan it
// twice.
#include "engine/sequence_queues.h"

#include <cassert>

namespace molink {

void SequenceQueues::add(SequenceView& sequence) {
    assert(sequence.state == SequenceState::waiting);
    waiting_.push_back(&sequence);
}

void SequenceQueues::leave(SequenceView& sequence) {
    switch (sequence.state) {
        case SequenceState::waiting: waiting_.remove(&sequence); break;
        case SequenceState::prefilling: prefilling_.remove(&sequence); break;
        case SequenceState::decodable: decodable_.remove(&sequence); break;
        case SequenceState::in_flight:
        case SequenceState::finished: break;
    }
}

void SequenceQueues::admit(SequenceView& sequence) {
    assert(sequence.state == SequenceState::waiting);
    leave(sequence);
    sequence.state = SequenceState::prefilling;
    prefilling_.push_back(&sequence);
    ++running_;
}

void SequenceQueues::end_prefill(SequenceView& sequence) {
    assert(sequence.state == SequenceState::prefilling);
    leave(sequence);
    sequence.state = SequenceState::in_flight;
}

void SequenceQueues::begin_decode(SequenceView& sequence) {
    assert(sequence.state == SequenceState::decodable);
    leave(sequence);
    sequence.state = SequenceState::in_flight;
}

void SequenceQueues::make_decodable(SequenceView& sequence) {
    assert(sequence.state == SequenceState::in_flight);
    sequence.state = SequenceState::decodable;
    decodable_.push_back(&sequence);
}

void SequenceQueues::preempt(SequenceView& sequence) {
    assert(sequence.state == SequenceState::prefilling ||
           sequence.state == SequenceState::decodable);
    leave(sequence);
    sequence.state = SequenceState::waiting;
    waiting_.insert_before(&sequence, [&](const SequenceView& other) {
        return other.arrival_us > sequence.arrival_us ||
               (other.arrival_us == sequence.arrival_us && other.id > sequence.id);
    });
    --running_;
}

void SequenceQueues::finish(SequenceView& sequence) {
    assert(sequence.state != SequenceState::finished);
    leave(sequence);
    if (sequence.state != SequenceState::waiting) --running_;
    sequence.state = SequenceState::finished;
}

void SequenceQueues::clear() {
    *this = SequenceQueues();
}

}  // namespace molink
