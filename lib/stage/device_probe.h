#pragma once

#include <molink/clock.h>
#include <molink/status.h>

#include "backend/backend.h"
#include "loader/weight_source.h"
#include "model/model.h"
#include "wire/messages.h"

namespace molink {

/// Measures the device with the first layers of the model, as many as exceed its caches: one decode
/// row, 16 decode rows and a slice of 64 rows. Each time is the lower quartile of several runs on
/// the device's clock, per layer. The time of the LM head follows from the bytes of its weights.
/// `clock` bounds the number of runs; a probe takes about a second beside loading. Errors: of
/// Model::load and of the device.
Result<NodeProfile> probe_node(Backend& backend, const WeightSource& source,
                               const Described& described, WeightFormat format, const Clock& clock);

}  // namespace molink
