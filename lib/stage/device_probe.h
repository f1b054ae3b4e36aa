#pragma once

#include <molink/clock.h>
#include <molink/status.h>

#include "backend/backend.h"
#include "loader/weight_source.h"
#include "model/model.h"
#include "wire/messages.h"

namespace molink {

/// Measures this machine with the model's own first layer: one decode row, 16 of them and a
/// slice of 64, each by the device's own time and the lower quartile of several runs; the LM head
/// is derived from the bytes it touches. Takes about a second at most. Errors: of Model::load, of
/// the device.
Result<NodeProfile> probe_node(Backend& backend, const WeightSource& source,
                               const Described& described, WeightFormat format, const Clock& clock);

}  // namespace molink
