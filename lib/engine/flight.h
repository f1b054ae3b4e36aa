#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

#include "engine/sequence.h"
#include "work/part.h"
#include "work/retired_part.h"

namespace molink {

/// What was launched for one sequence in a part.
struct LaunchedRows {
    Sequence* sequence = nullptr;
    RowSpan span;
    std::vector<Token> drafts;
};

/// A part under way.
struct LaunchedPart {
    PartKey key;
    PartKind kind = PartKind::decode;
    std::int32_t row_count = 0;
    std::int64_t launched_us = 0;
    std::int32_t unknown_tokens = 0;  ///< that it begins with and the head does not know yet
    /// Decode: policies see its sequences as decodable again, and the part as no longer under way.
    bool planned_on = false;
    std::vector<LaunchedRows> rows;

    /// Where its sequences go on is known only when it is retired.
    bool has_drafts() const;
};

/// The parts under way, and what policies are told of them. Invariant: the counts equal the parts
/// that are not planned on. Thread: the head's loop.
class Flight {
public:
    /// Adds a part. The reference is valid until it is removed.
    LaunchedPart& add(LaunchedPart part);
    /// Null when no such part is under way.
    LaunchedPart* find(PartId part);
    /// Removes a part that find() gives.
    LaunchedPart remove(PartId part);
    /// To policies the part is no longer under way, although it is not retired.
    void plan_on(LaunchedPart& part);
    void clear();

    auto begin() const { return parts_.begin(); }
    auto end() const { return parts_.end(); }
    std::size_t parts() const { return parts_.size(); }
    std::int32_t steps() const { return static_cast<std::int32_t>(steps_.size()); }
    std::int32_t decode_parts() const { return decode_parts_; }
    std::int32_t decoding_sequences() const { return decoding_sequences_; }
    std::int32_t prefill_parts() const { return prefill_parts_; }
    std::int32_t prefill_rows() const { return prefill_rows_; }

private:
    void leave(const LaunchedPart& part);

    std::unordered_map<PartId, LaunchedPart> parts_;
    std::unordered_map<StepId, std::int32_t> steps_;  // parts of each
    std::int32_t decode_parts_ = 0;
    std::int32_t decoding_sequences_ = 0;
    std::int32_t prefill_parts_ = 0;
    std::int32_t prefill_rows_ = 0;
};

/// The rows of a retired part that belong to a sequence; null when there are none.
const SampledRows* find_sampled(const RetiredPart& retired, SequenceId wire_id);

/// What a record may name.
struct RecordBounds {
    std::size_t stages = 0;
    std::int32_t vocabulary = 0;
};

/// Compares a record with what was launched, before anything in it is believed: the engine must
/// never give out a token that no stage sampled for that position. Errors: data_loss naming part,
/// sequence and numbers.
Status check_retired(const RetiredPart& retired, const LaunchedPart& launched,
                     const RecordBounds& bounds);

}  // namespace molink
