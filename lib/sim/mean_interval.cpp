// Student's interval for the mean of a study's repetitions. The quantile of the t distribution
// comes from its expansion around the normal quantile (Abramowitz and Stegun, 26.7.5), which is
// accurate to three digits with five or more degrees of freedom. A table covers fewer.
#include <array>
#include <cmath>
#include <cstddef>

#include <molink/study.h>

namespace molink {
namespace {

/// The 97.5 % quantiles: of the t distribution with 1 to 4 degrees of freedom, and of the normal
/// distribution.
constexpr std::array<double, 4> kFew{12.7062, 4.3027, 3.1824, 2.7764};
constexpr double kNormal = 1.959964;

double student_quantile(std::size_t freedom) {
    if (freedom <= kFew.size()) return kFew[freedom - 1];
    const auto n = static_cast<double>(freedom);
    const double z = kNormal;
    const double z3 = z * z * z;
    const double z5 = z3 * z * z;
    const double z7 = z5 * z * z;
    return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n);
}

}  // namespace

MeanInterval mean_interval(std::span<const double> values) {
    const auto n = static_cast<double>(values.size());
    MeanInterval interval;
    for (const double value : values) interval.mean += value / n;
    if (values.size() < 2) return interval;
    double squares = 0;
    for (const double value : values) squares += (value - interval.mean) * (value - interval.mean);
    interval.half = student_quantile(values.size() - 1) * std::sqrt(squares / (n - 1) / n);
    return interval;
}

}  // namespace molink
