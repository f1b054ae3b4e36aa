#pragma once

#include <cstdint>

#include <molink/scheduler.h>

namespace molink {

/// Predicted times of the ring of stages and links, from what the view knows. Unknown rates and
/// delays count as none.
class RingModel {
public:
    explicit RingModel(const SchedulerView& view) : view_(view) {}

    /// The slowest stage or link for a part of `rows` rows, us.
    double slowest_us(PartKind kind, double rows) const;
    /// The slowest stage alone, us.
    double slowest_stage_us(PartKind kind, double rows) const;
    /// All stages and links, without propagation, us.
    double service_us(PartKind kind, double rows) const;
    /// Propagation round the ring, us.
    double delay_us() const;
    /// Once round for one part alone: services and propagation.
    double round_trip_us(PartKind kind, double rows) const {
        return service_us(kind, rows) + delay_us();
    }
    /// A decode cycle of `population` rows in n micro-batches: max(L(b), n * max_j s_j(b)), b =
    /// ceil(population / n).
    double cycle_us(std::int32_t population, std::int32_t n) const;

private:
    double stage_us(const StageView& stage, PartKind kind, double rows) const;
    double link_us(std::size_t stage, PartKind kind, double rows) const;

    const SchedulerView& view_;
};

}  // namespace molink
