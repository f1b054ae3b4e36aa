#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace molink {

/// The rate of a link from trains of frames sent at once: what is between the arrivals of their
/// frames is the time the bottleneck takes for one. Three trains must agree, or jitter made them.
/// Arrivals too close for that count only when the train's round trip was short as well.
/// Thread: the node's loop.
class ProbeTrains {
public:
    static constexpr int kFrames = 4;

    /// A train may go now, when the link is idle.
    bool due(std::int64_t now_us) const { return now_us >= next_us_ && last_ == 0; }
    std::int64_t next_us() const { return last_ == 0 ? next_us_ : INT64_MAX; }
    /// A train of frames first .. first + kFrames - 1 of `frame_bytes` goes.
    void begin(std::uint64_t first, std::size_t frame_bytes, std::int64_t now_us);
    struct Ack {
        std::uint64_t sequence = 0;     ///< everything up to it arrived
        std::int64_t arrived_us = 0;    ///< when, on the peer's clock
        std::int64_t hold_us = 0;       ///< the peer's, until it acknowledged
        std::int64_t least_rtt_us = 0;  ///< of the link, without this one; 0: not known
        bool resent = false;            ///< it went out twice
    };
    /// Gives a rate, bytes/s, when trains agree on one that is worth pacing for.
    std::optional<double> on_ack(const Ack& ack, std::int64_t now_us);

    /// Anew, one train close after the other until settled(), then none any more.
    void restart(std::int64_t now_us);
    /// No train from now on.
    void stop();
    /// Since restart(): trains agree, show a link too fast to measure, or were many enough.
    bool settled() const { return settled_; }
    /// What trains since restart() showed, bytes/s, whether they agreed or not; 0: too fast to
    /// measure. Nothing before the first has arrived. When they do not agree it is what arrivals
    /// show, or more when a round trip does (`least_rtt_us`: the link's least).
    std::optional<double> rate(std::int64_t least_rtt_us) const;

private:
    struct Verdict {
        bool agreed = false;
        bool fast = false;
        double rate = 0;
    };
    void note_train(const Ack& ack, std::int64_t us, std::int64_t now_us);
    Verdict judge() const;
    double train_bytes() const;

    std::uint64_t first_ = 0;
    std::uint64_t last_ = 0;  // 0: none under way
    std::size_t frame_bytes_ = 0;
    std::uint64_t from_ = 0;  // newest frame of the first acknowledgement
    std::int64_t from_us_ = 0;
    std::int64_t sent_us_ = 0;
    std::int64_t next_us_ = 0;
    std::array<double, 3> rates_{};  // of the last trains that count; 0: too fast to measure
    std::size_t known_ = 0;          // trains that count
    std::size_t count_ = 0;          // all
    bool close_ = false;             // restart() was called
    bool settled_ = false;           // only then
    double bytes_ = 0;  // of trains that count, and between their first and last arrival
    double us_ = 0;
    std::int64_t least_us_ = INT64_MAX;  // round trip of a train, of all
};

}  // namespace molink
