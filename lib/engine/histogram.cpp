// Histograms of times and of rows. The bounds are the same for all of a kind, so that graphs of
// different measures can be laid over each other; a value on a bound belongs to that bound's
// bucket, as in Prometheus. Not thread-safe: the head's loop counts, a snapshot is a copy.
#include "engine/histogram.h"

#include <algorithm>
#include <utility>

namespace molink {

namespace {

Histogram with_bounds(std::vector<double> bounds) {
    Histogram histogram;
    histogram.buckets.assign(bounds.size() + 1, 0);
    histogram.bounds = std::move(bounds);
    return histogram;
}

}  // namespace

Histogram make_time_histogram() {
    return with_bounds(
        {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 600});
}

Histogram make_rows_histogram() {
    return with_bounds({1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096});
}

void record(Histogram& histogram, double value) {
    const auto bound = std::lower_bound(histogram.bounds.begin(), histogram.bounds.end(), value);
    ++histogram.buckets[static_cast<std::size_t>(bound - histogram.bounds.begin())];
    ++histogram.count;
    histogram.sum += value;
}

}  // namespace molink
