// The two limits of decode throughput: s_j(b) is the service time of stage or link j for b rows,
// and L(b) the round trip of one micro-batch with propagation. If all stages compute on one
// machine, its cores are one more resource. A part occupies it for the sum of its stages' times
// divided by the number of cores, and longer by the slowdown of cores that all compute.
#include "limits.h"

#include <algorithm>
#include <cmath>

#include "stage/stage_profile.h"

namespace molink::bench {
namespace {

constexpr double kTokenBytes = 60;  // message of a sampled token
constexpr std::int32_t kSliceRows = 256;

/// The service time of a link.
struct Hop {
    double row_us = 0;
};

class Ring {
public:
    explicit Ring(const RingLoad& shape) : shape_(shape), device_(shape.device, {}) {
        // Mbit/s are bits per us.
        const auto add = [&](double bytes, double mbit_per_s) {
            hops_.push_back({bytes * 8 / mbit_per_s});
        };
        for (std::size_t i = 1; i < shape.layers.size(); ++i) {
            add(shape.row_bytes, shape.link.up_mbit_per_s);
        }
        const System& system = shape.system;
        if (!system.local_stage && system.direct_feedback) {
            // The last stage dials the first one, as every stage dials the next.
            if (shape.layers.size() > 1) add(kTokenBytes, shape.link.up_mbit_per_s);
            return;
        }
        if (shape.layers.size() > 1 || !system.local_stage) {
            add(kTokenBytes, shape.link.down_mbit_per_s);
        }
        if (!system.local_stage) add(kTokenBytes, shape.link.up_mbit_per_s);
    }

    double stage_us(std::size_t i, std::int32_t rows) const {
        const PartLoad load{{{0, rows}}, rows};
        const bool last = i + 1 == shape_.layers.size();
        return device_.part_us(PartKind::decode, load, {0, shape_.layers[i]}, last);
    }
    double all_stages_us(std::int32_t rows) const {
        double sum = 0;
        for (std::size_t i = 0; i < shape_.layers.size(); ++i) sum += stage_us(i, rows);
        return sum;
    }
    double slowest_us(std::int32_t rows) const {
        double slowest = 0;
        if (shape_.cores > 0) {
            slowest = all_stages_us(rows) * slowdown_at(shape_.contention, rows) / shape_.cores;
        }
        for (std::size_t i = 0; i < shape_.layers.size(); ++i) {
            slowest = std::max(slowest, stage_us(i, rows));
        }
        for (const Hop& hop : hops_) slowest = std::max(slowest, rows * hop.row_us);
        return slowest;
    }
    double service_us(std::int32_t rows) const {
        double sum = all_stages_us(rows);
        for (const Hop& hop : hops_) sum += rows * hop.row_us;
        return sum;
    }
    /// Sums the delays. Jitter adds half of its maximum on average.
    double delays_us() const {
        const LinkShape& link = shape_.link;
        return static_cast<double>(hops_.size()) * 1000 * (link.delay_ms + link.jitter_ms / 2);
    }
    double round_trip_us(std::int32_t rows) const { return service_us(rows) + delays_us(); }

private:
    const RingLoad& shape_;
    StageProfile device_;
    std::vector<Hop> hops_;
};

}  // namespace

double slowdown_at(const std::vector<Slowdown>& table, double rows) {
    if (table.empty()) return 1;
    const auto above = std::find_if(table.begin(), table.end(),
                                    [&](const Slowdown& point) { return point.rows >= rows; });
    if (above == table.begin()) return table.front().times;
    if (above == table.end()) return table.back().times;
    const Slowdown& below = *(above - 1);
    const double share = (rows - below.rows) / (above->rows - below.rows);
    return below.times + share * (above->times - below.times);
}

Limits decode_limits(const RingLoad& shape, std::int32_t streams) {
    const Ring ring(shape);
    double best_us = INFINITY;
    for (std::int32_t n = 1; n <= streams; ++n) {
        const std::int32_t rows = (streams + n - 1) / n;
        best_us = std::min(best_us, std::max(ring.round_trip_us(rows), n * ring.slowest_us(rows)));
    }
    const double one_us = std::max(ring.round_trip_us(1), ring.slowest_us(streams));
    return {streams / best_us * 1e6, streams / one_us * 1e6};
}

double prefill_rate(const RingLoad& shape) {
    const StageProfile device(shape.device, {});
    const double row_us =
        device.layer_us(PartKind::prefill, {{{0, kSliceRows}}, 0}, 0) / kSliceRows;
    double slowest = shape.layers.size() > 1 ? shape.row_bytes * 8 / shape.link.up_mbit_per_s : 0;
    double sum = 0;
    for (std::int32_t count : shape.layers) {
        slowest = std::max(slowest, count * row_us);
        sum += count * row_us;
    }
    if (shape.cores > 0) slowest = std::max(slowest, sum / shape.cores);
    return 1e6 / slowest;
}

double propagation(const RingLoad& shape, double tpot_ms) {
    const Ring ring(shape);
    const double delays_us = ring.delays_us();
    return delays_us > 0 ? (tpot_ms * 1e3 - ring.service_us(1)) / delays_us : 0;
}

}  // namespace molink::bench
