// The arithmetic behind the adaptive scheduler (lib/DESIGN.md, Micro-batches). A resource is a
// stage or the link behind it. Parts have a header on links (plan, sequence differences), which
// matters where rows are small. The last link carries tokens back, or, when the LM head is on the
// first stage, rows that are sampled: of a prefill part one counts.
#include "sched/ring_model.h"

#include <algorithm>
#include <cmath>

namespace molink {
namespace {

/// A part's message beside its activations: header, frame and acknowledgement, and what each row
/// or run adds. Measured on encoded messages.
constexpr double kPartBytes = 400;
constexpr double kDecodeRowBytes = 60;
constexpr double kPrefillRowBytes = 4;
/// A sampled token on its way back.
constexpr double kTokenBytes = 60;
/// Of a stage or link, left to prefill even where decode would take it all.
constexpr double kLeastLeft = 0.2;

}  // namespace

double RingModel::stage_us(const StageView& stage, PartKind kind, double rows) const {
    return (kind == PartKind::decode ? stage.decode : stage.prefill).at(rows);
}

double RingModel::link_us(std::size_t stage, PartKind kind, double rows) const {
    const StageView& view = view_.stages[stage];
    if (view.link_to_next.bytes_per_s <= 0) return 0;
    const bool decode = kind == PartKind::decode;
    const auto row_bytes = static_cast<double>(view.row_bytes);
    double bytes = kPartBytes;
    switch (view.cargo) {
        case LinkCargo::activations:
            bytes += rows * (row_bytes + (decode ? kDecodeRowBytes : kPrefillRowBytes));
            break;
        case LinkCargo::sampled_rows:
            bytes += decode ? (kTokenBytes + row_bytes) * rows : row_bytes;
            break;
        case LinkCargo::tokens: bytes += decode ? kTokenBytes * rows : 0; break;
    }
    return bytes / view.link_to_next.bytes_per_s * 1e6;
}

double RingModel::slowest_stage_us(PartKind kind, double rows) const {
    double slowest = 0;
    for (const StageView& stage : view_.stages) {
        slowest = std::max(slowest, stage_us(stage, kind, rows));
    }
    return slowest;
}

double RingModel::slowest_us(PartKind kind, double rows) const {
    double slowest = slowest_stage_us(kind, rows);
    for (std::size_t i = 0; i < view_.stages.size(); ++i) {
        slowest = std::max(slowest, link_us(i, kind, rows));
    }
    return slowest;
}

double RingModel::service_us(PartKind kind, double rows) const {
    double sum = 0;
    for (std::size_t i = 0; i < view_.stages.size(); ++i) {
        sum += stage_us(view_.stages[i], kind, rows) + link_us(i, kind, rows);
    }
    return sum;
}

double RingModel::delay_us() const {
    double sum = 0;
    for (const StageView& stage : view_.stages) {
        sum += static_cast<double>(stage.link_to_next.delay_us);
    }
    return sum;
}

DecodeLoad RingModel::decode_load(std::int32_t population, std::int32_t n) const {
    if (population <= 0) return {};
    n = std::clamp(n, 1, population);
    return {n, std::ceil(static_cast<double>(population) / n),
            std::max(cycle_us(population, n), 1.0)};
}

RingModel::Beside RingModel::beside(std::size_t stage, double rows,
                                    const DecodeLoad& decode) const {
    const StageView& view = view_.stages[stage];
    const auto left = [&](double decode_us) {
        return std::max(1 - decode.parts * decode_us / decode.cycle_us, kLeastLeft);
    };
    return {stage_us(view, PartKind::prefill, rows) /
                left(stage_us(view, PartKind::decode, decode.rows)),
            link_us(stage, PartKind::prefill, rows) /
                left(link_us(stage, PartKind::decode, decode.rows))};
}

double RingModel::pace_us(double rows, const DecodeLoad& decode) const {
    double slowest = 0;
    for (std::size_t i = 0; i < view_.stages.size(); ++i) {
        const Beside times = beside(i, rows, decode);
        slowest = std::max({slowest, times.stage_us, times.link_us});
    }
    return slowest;
}

const StageView* RingModel::slowest_prefill_stage(double rows, const DecodeLoad& decode) const {
    const StageView* slowest = nullptr;
    double pace_us = 0;
    for (std::size_t i = 0; i < view_.stages.size(); ++i) {
        const Beside times = beside(i, rows, decode);
        if (times.stage_us > pace_us) slowest = &view_.stages[i];
        if (times.link_us > std::max(pace_us, times.stage_us)) slowest = nullptr;
        pace_us = std::max({pace_us, times.stage_us, times.link_us});
    }
    return slowest;
}

double RingModel::passage_us(double rows, const DecodeLoad& decode) const {
    double sum = delay_us();
    for (std::size_t i = 0; i < view_.stages.size(); ++i) {
        const Beside times = beside(i, rows, decode);
        sum += times.stage_us + times.link_us;
    }
    return sum;
}

double RingModel::cycle_us(std::int32_t population, std::int32_t n) const {
    const double rows = std::ceil(static_cast<double>(population) / n);
    return std::max(round_trip_us(PartKind::decode, rows), n * slowest_us(PartKind::decode, rows));
}

}  // namespace molink
