#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <molink/metrics.h>
#include <molink/scheduler.h>

#include "work/part.h"

namespace molink {

/// Estimates the service times of the stages from the reports of retired parts. Thread: the head's
/// loop.
class StageMeter {
public:
    /// Starts again from the profiles of the stages.
    void reset(std::span<const StageView> stages);
    /// Adds a retired part of `rows` rows. `times`: [stages].
    void add(PartKind kind, std::int32_t rows, std::span<const StageTime> times);
    /// Copies what was measured into the views [stages].
    void fill(std::span<StageView> views) const;
    const std::vector<StageMetrics>& totals() const { return totals_; }

private:
    /// A line through (rows, time) that forgets older parts. Its slope leans on the profile's when
    /// parts are of similar size or times scatter.
    class Line {
    public:
        /// `least_us`: the least time of a part of any size, as far as is known. `product_row_us`:
        /// the time of a row when products take longer than reading the weights.
        void begin(const ServiceTime& known, double least_us, double product_row_us);
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
