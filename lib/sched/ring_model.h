#pragma once

#include <cstdint>
#include <vector>

#include <molink/scheduler.h>

namespace molink {

/// What decode takes of the ring in each cycle.
struct DecodeLoad {
    std::int32_t parts = 0;  ///< micro-batches; 0: none decode
    double rows = 0;         ///< of each
    double cycle_us = 1;
    double pause_us = 0;  ///< of the cycle, for each part: prompts have the ring to themselves
};

/// Times of something that computes one part at a time: a stage, or the cores that several stages
/// share. On shared cores a part takes the sum of the stages' times, each multiplied by the share
/// of the cores that the stage uses.
struct ComputeTimes {
    ServiceTime decode;
    ServiceTime prefill;
    const ServiceTime& of(PartKind kind) const {
        return kind == PartKind::decode ? decode : prefill;
    }
};

/// Predicted times of the ring of stages and links, from what the view knows. Unknown rates and
/// delays count as none.
class RingModel {
public:
    explicit RingModel(const SchedulerView& view);

    /// The slowest of stages, shared cores and links for a part of `rows` rows, us.
    double slowest_us(PartKind kind, double rows) const;
    /// The slowest of stages and shared cores, us.
    double slowest_compute_us(PartKind kind, double rows) const;
    /// Fixed cost of a prefill part on the slowest of these, us.
    double slowest_prefill_base_us() const;
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
    /// Between two prefill parts that follow each other, us: the slowest stage, cores or link in
    /// what decode leaves of it.
    double pace_us(double rows, const DecodeLoad& decode) const;
    /// The stage or cores that set that pace; null: a link does.
    const ComputeTimes* slowest_prefill_compute(double rows, const DecodeLoad& decode) const;
    /// Once round for a prefill part in what decode leaves, us.
    double passage_us(double rows, const DecodeLoad& decode) const;

private:
    void add_shared(std::size_t first);
    double link_us(std::size_t stage, PartKind kind, double rows) const;
    /// Time of a prefill part in what decode leaves of a stage or of shared cores, us.
    static double compute_beside_us(const ComputeTimes& compute, double rows,
                                    const DecodeLoad& decode);
    /// The same for the link behind a stage.
    double link_beside_us(std::size_t stage, double rows, const DecodeLoad& decode) const;

    const SchedulerView& view_;
    std::vector<ComputeTimes> compute_;  // [stages], and behind them the cores that are shared
};

}  // namespace molink
