#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace molink {

/// The rate of a link from trains of frames sent at once: what is between the arrivals of their
/// frames is the time the bottleneck takes for one. Three trains must agree, or jitter made them.
/// Thread: the node's loop.
class ProbeTrains {
public:
    static constexpr int kFrames = 4;

    /// A train may go now, when the link is idle.
    bool due(std::int64_t now_us) const { return now_us >= next_us_ && last_ == 0; }
    std::int64_t next_us() const { return last_ == 0 ? next_us_ : INT64_MAX; }
    /// A train of frames first .. first + kFrames - 1 of `frame_bytes` goes.
    void begin(std::uint64_t first, std::size_t frame_bytes, std::int64_t now_us);
    /// Everything up to `sequence` arrived by arrived_us on the peer's clock. Gives a rate,
    /// bytes/s, when trains agree on one that is worth pacing for.
    std::optional<double> on_ack(std::uint64_t sequence, std::int64_t arrived_us, bool resent,
                                 std::int64_t now_us);

    /// Anew, one train close after the other until settled(), then none any more.
    void restart(std::int64_t now_us);
    /// No train from now on.
    void stop();
    /// Since restart(): trains agree, show a link too fast to measure, or were many enough.
    bool settled() const { return settled_; }
    /// What trains since restart() showed, bytes/s, whether they agreed or not; 0: too fast to
    /// measure. Nothing before the first has arrived.
    std::optional<double> rate() const;

private:
    struct Verdict {
        bool agreed = false;
        bool fast = false;
        double rate = 0;
    };
    Verdict judge() const;

    std::uint64_t first_ = 0;
    std::uint64_t last_ = 0;  // 0: none under way
    std::size_t frame_bytes_ = 0;
    std::uint64_t from_ = 0;  // newest frame of the first acknowledgement
    std::int64_t from_us_ = 0;
    std::int64_t next_us_ = 0;
    std::array<double, 3> rates_{};  // 0: too fast to measure
    std::size_t count_ = 0;
    bool close_ = false;    // restart() was called
    bool settled_ = false;  // only then
    double bytes_ = 0;      // of all trains, and the time between their first and last arrival
    double us_ = 0;
};

}  // namespace molink
