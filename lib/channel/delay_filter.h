#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace molink {

/// The least of what was seen in the last ten to twenty seconds of use: ways change, and clocks
/// drift apart by a millisecond in this time. Thread: the node's loop.
class Least {
public:
    void note(std::int64_t value, std::int64_t now_us);
    /// INT64_MAX before the first.
    std::int64_t value() const { return std::min(spells_[0], spells_[1]); }
    /// What was seen so far was too small by `step`.
    void raise(std::int64_t step);

private:
    std::int64_t spells_[2] = {INT64_MAX, INT64_MAX};  // this one, the one before
    std::int64_t begin_us_ = 0;
};

/// The delays of one track's frames, up to a constant: by how much the clocks of the two ends
/// differ. Thread: the node's loop.
class DelayFilter {
public:
    void note(std::int64_t delay_us, std::int64_t now_us);
    /// How much longer than the shortest way the last frame was under way.
    std::int64_t newest_us() const { return newest_ - least_.value(); }
    /// Likewise the fastest of the last eight: jitter makes single frames late, a queue makes all
    /// of them late.
    std::int64_t queue_us() const;
    /// How far delays rise as well as fall within the last frames; a queue that grows or goes does
    /// only one of the two.
    std::int64_t swing_us() const;
    /// The way has become longer by this much.
    void raise(std::int64_t step_us) { least_.raise(step_us); }

private:
    static constexpr std::size_t kFastestOf = 8;
    std::array<std::int64_t, 32> recent_{};
    std::size_t count_ = 0;
    std::int64_t newest_ = 0;
    Least least_;
};

}  // namespace molink
