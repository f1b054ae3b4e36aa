#pragma once

#include <cstdint>

#include "wire/messages.h"

// With the LM head on the first stage a part goes round: after the last layers it comes back with
// the rows whose logits somebody asks for.
namespace molink {

/// What the last stage does to a part before it goes back: `rows` rows of activations go with it,
/// and nothing that the first stage has been told already.
void turn_back(Part& part, std::int32_t rows);

/// Stage times are [stages] once a part is retired: what the LM head takes for a part that came
/// back (`returned`) belongs to the first stage.
void note_stage_time(Part& part, bool returned, const StageTime& time);

/// Parts that overtake prefill: they make tokens.
inline bool is_urgent(const Part& part) {
    return part.kind == PartKind::decode || part.returns();
}

}  // namespace molink
