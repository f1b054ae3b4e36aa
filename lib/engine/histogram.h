#pragma once

#include <molink/metrics.h>

namespace molink {

/// An empty histogram of times in seconds, from 1 ms to 10 minutes, about three buckets for every
/// factor of ten.
Histogram make_time_histogram();

/// An empty histogram of rows, by powers of two from 1 to 4,096.
Histogram make_rows_histogram();

/// Counts one value.
void record(Histogram& histogram, double value);

}  // namespace molink
