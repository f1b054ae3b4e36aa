#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <molink/types.h>

namespace molink {

/// What is wrong with a row. Values cross the wire.
enum class RowFaultKind : std::uint8_t {
    hidden = 0,  ///< its activations hold a value that is not a finite number
    range = 1,   ///< its activations are larger than the format of the link can express
    logits = 2,  ///< its logits hold a value that is not a finite number
};

/// A row that must not lead to a token. The sequence ends there; other sequences of the part go on.
struct RowFault {
    SequenceId sequence;
    std::int32_t position = 0;
    std::uint32_t stage = 0;  ///< that noticed it first
    RowFaultKind kind = RowFaultKind::hidden;
    friend bool operator==(const RowFault&, const RowFault&) = default;
};

/// Adds a fault to those of a part. Of each sequence the earliest position is kept and, of one
/// position, the fault that was added first.
void add_fault(std::vector<RowFault>& faults, const RowFault& fault);
/// Returns the fault of a sequence, or null. Valid until `faults` changes.
const RowFault* find_fault(std::span<const RowFault> faults, SequenceId sequence);
/// Returns a text for the caller of the request. `layers`: of the stage.
std::string describe_fault(const RowFault& fault, LayerRange layers);

}  // namespace molink
