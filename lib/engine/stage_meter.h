#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <molink/metrics.h>
#include <molink/scheduler.h>

#include "work/part.h"

namespace molink {

/// Smoothed service times of the stages, from what retired parts report. Thread: the head's loop.
class StageMeter {
public:
    /// Begins anew with what is known of the stages before anything ran.
    void reset(std::span<const StageView> stages);
    /// A retired part of `rows` rows; times are [stages].
    void add(PartKind kind, std::int32_t rows, std::span<const StageTime> times);
    /// Copies what was measured into the views [stages].
    void fill(std::span<StageView> views) const;
    const std::vector<StageMetrics>& totals() const { return totals_; }

private:
    /// A line through (rows, time), older parts forgotten; the slope leans on the profile's as far
    /// as sizes are alike and times scatter.
    class Line {
    public:
        /// `product_row_us`: of a row where products, not reading the weights, take the time.
        void begin(const ServiceTime& known, double product_row_us);
        void add(double rows, double us);
        ServiceTime fit() const;

    private:
        double known_row_us(double rows) const;
        double ridge(double slope_us, double variance, double covariance) const;

        ServiceTime known_;
        double product_row_us_ = 0;
        double weight_ = 0, rows_ = 0, us_ = 0;  // sums, as are the products
        double rows_rows_ = 0, rows_us_ = 0, us_us_ = 0;
    };
    struct Measured {
        Line decode;
        Line prefill;
    };
    std::vector<Measured> measured_;
    std::vector<StageMetrics> totals_;
};

}  // namespace molink
