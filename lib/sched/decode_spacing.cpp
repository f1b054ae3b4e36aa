// A decode part costs a stage something however few its rows: it reads the weights. Rows that
// decode now, while prompts are computed that will decode with them, take more time each than they
// would in the larger parts of later. Prompts wait for that time, so it is kept to a small share
// of the stage that they wait for. Links cost a part next to nothing but its rows.
#include "sched/decode_spacing.h"

#include <algorithm>
#include <cmath>

namespace molink {
namespace {

/// Share of a stage's time that small decode parts may waste. Adaptive is to reach 95 % of any
/// other policy; slices of prompts and uneven parts cost some of the other 5 %. Gaps between tokens
/// are in inverse proportion to this.
constexpr double kWaste = 0.02;

}  // namespace

double decode_spacing_us(const RingModel& ring, const DecodeLoad& decode, std::int32_t potential) {
    if (decode.parts == 0 || potential <= decode.parts * decode.rows) return 0;
    const ComputeTimes* compute = ring.slowest_prefill_compute(kTypicalSlice, decode);
    if (compute == nullptr) return 0;
    const double later_rows = std::ceil(static_cast<double>(potential) / decode.parts);
    const double later_us = compute->decode.at(later_rows) * decode.rows / later_rows;
    return std::max(compute->decode.at(decode.rows) - later_us, 0.0) / kWaste;
}

}  // namespace molink
