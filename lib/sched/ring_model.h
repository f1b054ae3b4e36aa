#pragma once

#include <cstdint>

#include <molink/scheduler.h>

namespace molink {

/// What decode takes of the ring in each cycle.
struct DecodeLoad {
    std::int32_t parts = 0;  ///< micro-batches; 0: none decode
    double rows = 0;         ///< of each
    double cycle_us = 1;
    double pause_us = 0;  ///< of the cycle, for each part: prompts have the ring to themselves
};

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
    DecodeLoad decode_load(std::int32_t population, std::int32_t n) const;
    /// Between two prefill parts that follow each other, us: the slowest stage or link in what
    /// decode leaves of it.
    double pace_us(double rows, const DecodeLoad& decode) const;
    /// The stage that sets that pace; null: a link does.
    const StageView* slowest_prefill_stage(double rows, const DecodeLoad& decode) const;
    /// Once round for a prefill part in what decode leaves, us.
    double passage_us(double rows, const DecodeLoad& decode) const;

private:
    /// Of a prefill part on a stage and on the link behind it, in what decode leaves of them.
    struct Beside {
        double stage_us = 0;
        double link_us = 0;
    };
    Beside beside(std::size_t stage, double rows, const DecodeLoad& decode) const;
    double stage_us(const StageView& stage, PartKind kind, double rows) const;
    double link_us(std::size_t stage, PartKind kind, double rows) const;

    const SchedulerView& view_;
};

}  // namespace molink
