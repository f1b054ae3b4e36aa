// The two limits of the issue: s_j(b) is the service time of stage or link j for b rows, L(b) the
// round trip of one micro-batch, propagation included.
#include "limits.h"

#include <algorithm>
#include <cmath>

namespace molink::bench {
namespace {

constexpr double kTokenBytes = 60;  // a sampled token on its way back

struct Ring {
    const Cell& cell;
    const TimedProfile& profile;
    const std::vector<std::int32_t>& layers;
    double row_bytes;

    double stage_us(std::size_t i, double rows) const {
        const double layer = profile.decode_layer_us + rows * profile.decode_row_layer_us;
        const bool last = i + 1 == layers.size();
        return layers[i] * layer + (last ? profile.head_us + rows * profile.head_row_us : 0);
    }
    /// Bit/us is Mbit/s.
    double link_us(std::size_t i, double rows) const {
        if (layers.size() == 1) return 0;
        const bool last = i + 1 == layers.size();
        const double rate = last ? cell.link.down_mbit_per_s : cell.link.up_mbit_per_s;
        return rows * (last ? kTokenBytes : row_bytes) * 8 / rate;
    }
    /// Jitter comes on top of the delay, half of it on average.
    double delay_ms() const { return cell.link.delay_ms + cell.link.jitter_ms / 2; }
    double slowest_us(double rows) const {
        double slowest = 0;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            slowest = std::max({slowest, stage_us(i, rows), link_us(i, rows)});
        }
        return slowest;
    }
    double round_trip_us(double rows) const {
        double sum =
            layers.size() == 1 ? 0 : 1000 * delay_ms() * static_cast<double>(layers.size());
        for (std::size_t i = 0; i < layers.size(); ++i) sum += stage_us(i, rows) + link_us(i, rows);
        return sum;
    }
};

}  // namespace

Limits decode_limits(const Cell& cell, const TimedProfile& profile,
                     const std::vector<std::int32_t>& layers, std::int32_t row_bytes) {
    const Ring ring{cell, profile, layers, static_cast<double>(row_bytes)};
    const std::int32_t streams = cell.workload.streams;
    double best_us = INFINITY;
    for (std::int32_t n = 1; n <= streams; ++n) {
        const double rows = std::ceil(static_cast<double>(streams) / n);
        best_us = std::min(best_us, std::max(ring.round_trip_us(rows), n * ring.slowest_us(rows)));
    }
    const double one_us = std::max(ring.round_trip_us(1), ring.slowest_us(streams));
    return {streams / best_us * 1e6, streams / one_us * 1e6};
}

double prefill_rate(const Cell& cell, const TimedProfile& profile,
                    const std::vector<std::int32_t>& layers, std::int32_t row_bytes) {
    double slowest = layers.size() > 1 ? row_bytes * 8 / cell.link.up_mbit_per_s : 0;
    for (std::int32_t count : layers) {
        slowest = std::max(slowest, count * profile.prefill_row_layer_us);
    }
    return 1e6 / slowest;
}

}  // namespace molink::bench
