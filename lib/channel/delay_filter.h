#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace molink {

/// The smallest value of the last ten to twenty seconds of use. Older values are dropped, because
/// paths change and clocks drift apart by a millisecond in this time. Thread: the node's loop.
class Least {
public:
    void note(std::int64_t value, std::int64_t now_us);
    /// INT64_MAX before the first value.
    std::int64_t value() const { return std::min(spells_[0], spells_[1]); }
    /// Adds `step` to the values so far.
    void raise(std::int64_t step);

private:
    std::int64_t spells_[2] = {INT64_MAX, INT64_MAX};  // minima of this spell and of the one before
    std::int64_t begin_us_ = 0;
};

/// Delays of one track's frames. They contain an unknown constant: the difference of the clocks of
/// the two ends. Thread: the node's loop.
class DelayFilter {
public:
    void note(std::int64_t delay_us, std::int64_t now_us);
    /// Delay of the last frame above the shortest delay.
    std::int64_t newest_us() const { return newest_ - least_.value(); }
    /// Delay of the fastest of the last eight frames above the shortest delay. Jitter delays single
    /// frames, but a queue delays all of them.
    std::int64_t queue_us() const;
    /// The smaller one of the largest rise and the largest fall of delays within the last frames. A
    /// queue that only grows or only shrinks has just one of the two.
    std::int64_t swing_us() const;
    /// The path has become longer by this time.
    void raise(std::int64_t step_us) { least_.raise(step_us); }

private:
    static constexpr std::size_t kFastestOf = 8;
    std::array<std::int64_t, 32> recent_{};
    std::size_t count_ = 0;
    std::int64_t newest_ = 0;
    Least least_;
};

}  // namespace molink
