#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace molink {

/// Determines the rate of a link from trains of frames that are sent together. The time between the
/// arrivals of two frames is the time that the bottleneck needs for one. Three trains must agree,
/// because jitter may change a single one. Very close arrivals count only if the round trip of the
/// train was also short.
/// Thread: the node's loop.
class ProbeTrains {
public:
    static constexpr int kFrames = 4;

    /// Returns whether a train may be sent now if the link is idle.
    bool due(std::int64_t now_us) const { return now_us >= next_us_ && last_ == 0; }
    std::int64_t next_us() const { return last_ == 0 ? next_us_ : INT64_MAX; }
    /// A train was sent: the frames first .. first + kFrames - 1 of `frame_bytes` each.
    void begin(std::uint64_t first, std::size_t frame_bytes, std::int64_t now_us);
    struct Ack {
        std::uint64_t sequence = 0;     ///< all frames up to it have arrived
        std::int64_t arrived_us = 0;    ///< arrival on the peer's clock
        std::int64_t hold_us = 0;       ///< time until the peer acknowledged
        std::int64_t least_rtt_us = 0;  ///< of the link, without this one; 0: unknown
        bool resent = false;            ///< the frame was sent twice
    };
    /// Returns a rate in bytes/s when trains agree on one that needs pacing.
    std::optional<double> on_ack(const Ack& ack, std::int64_t now_us);

    /// Starts again. Sends trains in quick succession until settled(), and then no more.
    void restart(std::int64_t now_us);
    /// Sends no more trains.
    void stop();
    /// Returns whether trains are sent because restart() asked for them.
    bool asked() const { return close_ && !settled_; }
    /// Returns whether, since restart(), trains agreed, showed a link that is too fast to measure,
    /// or reached their maximum number.
    bool settled() const { return settled_; }
    /// Returns the rate of the trains since restart() in bytes/s, even if they do not agree; 0: too
    /// fast to measure. Returns nothing before the first train has arrived. If trains do not agree,
    /// it is the larger one of the rates that arrivals and the shortest round trip show.
    /// `least_rtt_us` is the link's shortest round trip.
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
    std::uint64_t last_ = 0;  // last frame of the train; 0: none under way
    std::size_t frame_bytes_ = 0;
    std::uint64_t from_ = 0;  // newest frame in the first acknowledgement
    std::int64_t from_us_ = 0;
    std::int64_t sent_us_ = 0;
    std::int64_t next_us_ = 0;
    std::array<double, 3> rates_{};  // of the last trains that count
    std::size_t known_ = 0;          // number of trains that count
    std::size_t count_ = 0;          // number of all trains
    bool close_ = false;             // restart() was called
    bool settled_ = false;           // set only if close_
    double bytes_ = 0;               // of trains that count; us_: between first and last arrival
    double us_ = 0;
    std::int64_t least_us_ = INT64_MAX;  // shortest round trip of all trains
};

}  // namespace molink
