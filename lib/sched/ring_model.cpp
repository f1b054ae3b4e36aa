// The arithmetic behind the adaptive scheduler (lib/DESIGN.md, Micro-batches). A resource is a
// stage, the link behind it, or the cores that several stages share. Parts have a header on links
// (plan, sequence differences), which matters where rows are small. The last link carries tokens
// back, or, when the LM head is on the first stage, rows that are sampled: of a prefill part one
// counts.
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

/// Returns the share that decode leaves of a resource on which a decode part takes `part_us`.
double left(const DecodeLoad& decode, double part_us) {
    return std::max(1 - decode.parts * part_us / decode.cycle_us, kLeastLeft);
}

}  // namespace

RingModel::RingModel(const SchedulerView& view) : view_(view) {
    for (const StageView& stage : view.stages) compute_.push_back({stage.decode, stage.prefill});
    for (std::size_t i = 0; i < view.stages.size(); ++i) add_shared(i);
}

/// Adds the cores that stage `first` shares with later ones, if it is the first of its domain.
void RingModel::add_shared(std::size_t first) {
    const std::int32_t domain = view_.stages[first].compute_domain;
    ComputeTimes cores;
    std::size_t sharers = 0;
    for (std::size_t i = 0; i < view_.stages.size(); ++i) {
        const StageView& stage = view_.stages[i];
        if (stage.compute_domain != domain || stage.compute_share <= 0) continue;
        if (i < first) return;
        ++sharers;
        const auto add = [&](ServiceTime& sum, const ServiceTime& time) {
            sum.base_us += stage.compute_share * time.base_us;
            sum.row_us += stage.compute_share * time.row_us;
            sum.least_us += stage.compute_share * time.least_us;
        };
        add(cores.decode, stage.decode);
        add(cores.prefill, stage.prefill);
    }
    if (sharers > 1) compute_.push_back(cores);
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

double RingModel::slowest_compute_us(PartKind kind, double rows) const {
    double slowest = 0;
    for (const ComputeTimes& compute : compute_) {
        slowest = std::max(slowest, compute.of(kind).at(rows));
    }
    return slowest;
}

double RingModel::slowest_prefill_base_us() const {
    double slowest = 0;
    for (const ComputeTimes& compute : compute_) {
        slowest = std::max(slowest, compute.prefill.base_us);
    }
    return slowest;
}

double RingModel::slowest_us(PartKind kind, double rows) const {
    double slowest = slowest_compute_us(kind, rows);
    for (std::size_t i = 0; i < view_.stages.size(); ++i) {
        slowest = std::max(slowest, link_us(i, kind, rows));
    }
    return slowest;
}

double RingModel::service_us(PartKind kind, double rows) const {
    double sum = 0;
    for (std::size_t i = 0; i < view_.stages.size(); ++i) {
        sum += compute_[i].of(kind).at(rows) + link_us(i, kind, rows);
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

double RingModel::compute_beside_us(const ComputeTimes& compute, double rows,
                                    const DecodeLoad& decode) {
    return compute.prefill.at(rows) / left(decode, compute.decode.at(decode.rows));
}

double RingModel::link_beside_us(std::size_t stage, double rows, const DecodeLoad& decode) const {
    return link_us(stage, PartKind::prefill, rows) /
           left(decode, link_us(stage, PartKind::decode, decode.rows));
}

double RingModel::pace_us(double rows, const DecodeLoad& decode) const {
    double slowest = 0;
    for (const ComputeTimes& compute : compute_) {
        slowest = std::max(slowest, compute_beside_us(compute, rows, decode));
    }
    for (std::size_t i = 0; i < view_.stages.size(); ++i) {
        slowest = std::max(slowest, link_beside_us(i, rows, decode));
    }
    return slowest;
}

const ComputeTimes* RingModel::slowest_prefill_compute(double rows,
                                                       const DecodeLoad& decode) const {
    const double pace = pace_us(rows, decode);
    for (const ComputeTimes& compute : compute_) {
        if (compute_beside_us(compute, rows, decode) >= pace) return &compute;
    }
    return nullptr;
}

double RingModel::passage_us(double rows, const DecodeLoad& decode) const {
    double sum = delay_us();
    for (std::size_t i = 0; i < view_.stages.size(); ++i) {
        sum += compute_beside_us(compute_[i], rows, decode) + link_beside_us(i, rows, decode);
    }
    return sum;
}

double RingModel::cycle_us(std::int32_t population, std::int32_t n) const {
    const double rows = std::ceil(static_cast<double>(population) / n);
    return std::max(round_trip_us(PartKind::decode, rows), n * slowest_us(PartKind::decode, rows));
}

}  // namespace molink
