#pragma once

#include <cstdint>

#include "sched/ring_model.h"

namespace molink {

/// Rows of the slice by which the stage is found that prompts wait for.
inline constexpr double kTypicalSlice = 64;

/// How far apart decode parts begin while prompts compute, us, so that decoding a few rows does not
/// keep many others from beginning to decode; 0: no matter. `decode`: the rows that decode now.
/// `potential`: rows that will decode once every prompt that can be admitted is computed.
double decode_spacing_us(const RingModel& ring, const DecodeLoad& decode, std::int32_t potential);

}  // namespace molink
