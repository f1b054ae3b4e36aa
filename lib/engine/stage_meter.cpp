// Service times of stages as policies see them: a line by weighted least squares that forgets, so
// that a change of load shows within a second and a single hiccup does not. Parts of nearly one
// size say little about the slope, the less the more their times scatter: as far as they leave it
// open it is the profile's (ridge regression, Hoerl and Kennard 1970, weighed as a normal prior).
#include "engine/stage_meter.h"

#include <algorithm>

namespace molink {
namespace {

/// Weight that a part keeps when another one comes: about fifty count.
constexpr double kKeep = 0.98;
/// Spread of rows, squared, below which the known slope outweighs even what does not scatter.
constexpr double kRidge = 4;
/// What the known slope may be wrong by, as a share of it: one standard deviation.
constexpr double kKnownError = 0.3;

}  // namespace

void StageMeter::Line::begin(const ServiceTime& known, double least_us, double product_row_us) {
    *this = Line();
    known_ = known;
    known_.least_us = least_us;
    product_row_us_ = product_row_us;
}

void StageMeter::Line::add(double rows, double us) {
    weight_ = weight_ * kKeep + 1;
    rows_ = rows_ * kKeep + rows;
    us_ = us_ * kKeep + us;
    rows_rows_ = rows_rows_ * kKeep + rows * rows;
    rows_us_ = rows_us_ * kKeep + rows * us;
    us_us_ = us_us_ * kKeep + us * us;
    known_.least_us = std::min(known_.least_us, us);
}

/// The profile's slope at parts of so many rows. Its decode rows are few: where the products of
/// more take longer than reading the weights (roofline, Williams et al. 2009), a row costs no less
/// than one of a prompt.
double StageMeter::Line::known_row_us(double rows) const {
    const bool products = rows * product_row_us_ > known_.at(1);
    return products ? std::max(known_.row_us, product_row_us_) : known_.row_us;
}

/// How much of `variance` the known slope is worth: the variance of what a line leaves unexplained,
/// over that of the known slope and the parts that count.
double StageMeter::Line::ridge(double slope_us, double variance, double covariance) const {
    const double error = kKnownError * slope_us;
    if (error <= 0) return kRidge;
    const double mean_us = us_ / weight_;
    const double explained = variance > 0 ? covariance * covariance / variance : 0;
    const double left = std::max(us_us_ / weight_ - mean_us * mean_us - explained, 0.0);
    return kRidge + left / (error * error * weight_);
}

ServiceTime StageMeter::Line::fit() const {
    if (weight_ == 0) return known_;
    const double mean_rows = rows_ / weight_;
    const double mean_us = us_ / weight_;
    const double variance = std::max(rows_rows_ / weight_ - mean_rows * mean_rows, 0.0);
    const double covariance = rows_us_ / weight_ - mean_rows * mean_us;
    ServiceTime line;
    const double slope_us = known_row_us(mean_rows);
    const double known = ridge(slope_us, variance, covariance);
    line.row_us = (covariance + known * slope_us) / (variance + known);
    line.row_us = std::clamp(line.row_us, 0.0, mean_us / std::max(mean_rows, 1.0));
    line.base_us = std::max(mean_us - line.row_us * mean_rows, 0.0);
    line.least_us = known_.least_us;
    return line;
}

void StageMeter::reset(std::span<const StageView> stages) {
    measured_.assign(stages.size(), {});
    totals_.assign(stages.size(), {});
    for (std::size_t i = 0; i < stages.size(); ++i) {
        const double least_us = stages[i].decode.at(1);  // it reads all weights, as any part does
        measured_[i].decode.begin(stages[i].decode, least_us, stages[i].prefill.row_us);
        measured_[i].prefill.begin(stages[i].prefill, least_us, stages[i].prefill.row_us);
    }
}

void StageMeter::add(PartKind kind, std::int32_t rows, std::span<const StageTime> times) {
    const std::size_t count = std::min(times.size(), totals_.size());
    for (std::size_t i = 0; i < count; ++i) {
        totals_[i].parts += 1;
        totals_[i].rows += static_cast<std::uint64_t>(rows);
        totals_[i].compute_us += times[i].compute_us;
        totals_[i].wait_us += times[i].wait_us;
        Line& line = kind == PartKind::decode ? measured_[i].decode : measured_[i].prefill;
        line.add(rows, times[i].compute_us);
    }
}

void StageMeter::fill(std::span<StageView> views) const {
    for (std::size_t i = 0; i < std::min(views.size(), measured_.size()); ++i) {
        views[i].decode = measured_[i].decode.fit();
        views[i].prefill = measured_[i].prefill.fit();
    }
}

}  // namespace molink
