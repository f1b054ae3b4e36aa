// Rows that hold no numbers. A broken node, weights that overflow or a damaged file give such rows,
// and from there on every value of the sequence is NaN. Stages note the first row, and the engine
// ends the request instead of giving out tokens that no model has chosen.
#include "work/row_fault.h"

#include <algorithm>

#include "base/error.h"

namespace molink {

void add_fault(std::vector<RowFault>& faults, const RowFault& fault) {
    const auto known = std::find_if(faults.begin(), faults.end(), [&](const RowFault& other) {
        return other.sequence == fault.sequence;
    });
    if (known == faults.end()) {
        faults.push_back(fault);
    } else if (fault.position < known->position) {
        *known = fault;
    }
}

const RowFault* find_fault(std::span<const RowFault> faults, SequenceId sequence) {
    const auto found = std::find_if(faults.begin(), faults.end(), [&](const RowFault& fault) {
        return fault.sequence == sequence;
    });
    return found == faults.end() ? nullptr : &*found;
}

std::string describe_fault(const RowFault& fault, LayerRange layers) {
    const char* what = "activations that are not finite numbers";
    if (fault.kind == RowFaultKind::range) what = "activations too large for the link";
    if (fault.kind == RowFaultKind::logits) what = "logits that are not finite numbers";
    return fmt::format("stage {} (layers {}-{}) computed {} at position {}", fault.stage,
                       layers.begin, layers.end - 1, what, fault.position);
}

}  // namespace molink
