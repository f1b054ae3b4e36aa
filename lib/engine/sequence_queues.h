#pragma once

#include <cstdint>
#include <span>

#include <molink/scheduler.h>

#include "engine/view_queue.h"

namespace molink {

/// Where sequences stand, as policies see it. Invariant: a sequence is in the queue of its state
/// and in no other; sequences that are neither waiting nor finished count as running.
/// Thread: the head's loop.
class SequenceQueues {
public:
    using Span = std::span<const SequenceView* const>;

    /// A new sequence waits behind all others.
    void add(SequenceView& sequence);
    /// waiting -> prefilling
    void admit(SequenceView& sequence);
    /// prefilling -> in flight: the end of its prompt is under way.
    void end_prefill(SequenceView& sequence);
    /// decodable -> in flight
    void begin_decode(SequenceView& sequence);
    /// in flight -> decodable, behind all others
    void make_decodable(SequenceView& sequence);
    /// prefilling or decodable -> waiting, in order of arrival
    void preempt(SequenceView& sequence);
    /// any -> finished
    void finish(SequenceView& sequence);
    /// Every sequence is gone.
    void clear();

    Span waiting() const { return waiting_.span(); }
    Span prefilling() const { return prefilling_.span(); }
    Span decodable() const { return decodable_.span(); }
    std::int32_t waiting_count() const { return static_cast<std::int32_t>(waiting_.size()); }
    std::int32_t running() const { return running_; }
    /// No sequence could start anything.
    bool idle() const { return waiting_.size() + prefilling_.size() + decodable_.size() == 0; }

private:
    void leave(SequenceView& sequence);

    ViewQueue<SequenceView> waiting_;
    ViewQueue<SequenceView> prefilling_;
    ViewQueue<SequenceView> decodable_;
    std::int32_t running_ = 0;
};

}  // namespace molink
