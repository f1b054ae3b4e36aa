#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include <molink/types.h>

#include "base/bytes.h"
#include "base/pipeline_epoch.h"
#include "work/row_fault.h"
#include "work/sequence_open.h"

// Parts: rows that are computed and sent together. They are plain values. A part changes its type
// as it moves: the head launches a PartPlan, stages pass on a ForwardedPart, the last stage may
// return a ReturnedPart, and the stage with the LM head makes a RetiredPart (retired_part.h).
namespace molink {

/// Names a part.
struct PartKey {
    PipelineEpoch epoch;
    StepId step;
    PartId id;
    friend bool operator==(const PartKey&, const PartKey&) = default;
};

/// Rows of one decoding sequence: its newest token and drafts. The sampler keeps drafts up to the
/// first one that differs from the token that it samples (Leviathan et al. 2023, for greedy and
/// seeded sampling).
struct DecodeRows {
    SequenceId sequence;
    std::int32_t position = 0;  ///< position of the newest token
    /// The token at `position`. Not set if the head does not know it yet. The last stage then sends
    /// it to the first one, which fills it in (RingShape::feeds_back).
    std::optional<Token> token;
    std::vector<Token> drafts;        ///< proposed tokens for the next positions
    std::vector<BlockId> new_blocks;  ///< appended to the sequence's block table
    std::int32_t count() const { return 1 + static_cast<std::int32_t>(drafts.size()); }
    std::int32_t sampled() const { return count(); }
    friend bool operator==(const DecodeRows&, const DecodeRows&) = default;
};

/// Rows of one sequence whose tokens are known from its SequenceOpen: positions
/// [position, position + rows).
struct PrefillRows {
    SequenceId sequence;
    std::int32_t position = 0;
    std::int32_t rows = 0;
    bool ends_prompt = false;         ///< the last row gives the next token
    std::vector<BlockId> new_blocks;  ///< appended to the sequence's block table
    std::int32_t count() const { return rows; }
    std::int32_t sampled() const { return ends_prompt ? 1 : 0; }
    friend bool operator==(const PrefillRows&, const PrefillRows&) = default;
};

/// All rows of a part, of one kind.
using PartRows = std::variant<std::vector<DecodeRows>, std::vector<PrefillRows>>;

/// Positions of the rows of one sequence, for both kinds.
struct RowSpan {
    SequenceId sequence;
    std::int32_t position = 0;  ///< position of the first row
    std::int32_t count = 0;     ///< number of rows
    std::int32_t sampled = 0;   ///< number of last rows that are sampled
    std::int32_t end() const { return position + count; }
    friend bool operator==(const RowSpan&, const RowSpan&) = default;
};

template <typename Rows>
RowSpan span_of(const Rows& rows) {
    return {rows.sequence, rows.position, rows.count(), rows.sampled()};
}

/// Calls visit(rows) with the DecodeRows or PrefillRows of each sequence, in order.
template <typename Rows, typename Visit>
void for_each_sequence(Rows& rows, Visit visit) {
    std::visit(
        [&](auto& list) {
            for (auto& item : list) visit(item);
        },
        rows);
}

/// Returns the spans of all sequences, in order.
std::vector<RowSpan> spans_of(const PartRows& rows);
std::int32_t count_rows(const std::vector<RowSpan>& spans);
/// Adds the fault of row `row` among the rows of `spans`, counted from 0.
void add_row_fault(std::vector<RowFault>& faults, std::span<const RowSpan> spans, std::int32_t row,
                   std::uint32_t stage, RowFaultKind kind);

/// A part to compute. The head launches it to the first stage. Later stages receive it with the
/// activations.
struct PartPlan {
    PartKey key;
    std::vector<SequenceOpen> opens;
    PartRows rows;
    std::vector<SequenceId> releases;  ///< sequences that stages forget; all retired

    PartKind kind() const { return rows.index() == 0 ? PartKind::decode : PartKind::prefill; }
    std::int32_t row_count() const;
    friend bool operator==(const PartPlan&, const PartPlan&) = default;
};

/// Times of one part on one stage.
struct StageTime {
    std::uint32_t compute_us = 0;
    std::uint32_t wait_us = 0;  ///< from arrival to the start of computation
    friend bool operator==(const StageTime&, const StageTime&) = default;
};

/// Hidden rows between stages: [rows, hidden] of `type` (tensor/activation_codec.h).
struct ActivationRows {
    DataType type = DataType::f32;
    std::int32_t rows = 0;
    Bytes bytes{};
    std::int32_t exact_values = 0;           ///< of each row, in bytes of int8
    std::vector<std::uint32_t> bf16_rows{};  ///< rows that are bf16 although `type` is f16; rising
    friend bool operator==(const ActivationRows&, const ActivationRows&) = default;
};

/// A part that a stage has computed, for the next stage. Every token of its plan is known.
struct ForwardedPart {
    PartPlan plan;
    ActivationRows activations;          ///< one row for each row of the plan
    std::vector<StageTime> stage_times;  ///< of the stages so far
    std::vector<RowFault> faults{};      ///< at most one of each sequence
    friend bool operator==(const ForwardedPart&, const ForwardedPart&) = default;
};

/// A part that has passed the last stage and returns to the LM head on the first. The first stage
/// already knows its sequences and tokens.
struct ReturnedPart {
    PartKey key;
    PartKind kind = PartKind::decode;
    std::vector<RowSpan> spans;
    ActivationRows activations;          ///< rows whose logits are needed; may be empty
    std::vector<StageTime> stage_times;  ///< of all stages
    std::vector<RowFault> faults{};      ///< at most one of each sequence
    friend bool operator==(const ReturnedPart&, const ReturnedPart&) = default;
};

/// Input of a stage.
using StageInput = std::variant<PartPlan, ForwardedPart, ReturnedPart>;

const PartKey& key_of(const StageInput& input);
PartKind kind_of(const StageInput& input);
/// Returns the number of rows that go through the layers or, for a returned part, through the LM
/// head.
std::int32_t row_count(const StageInput& input);
bool is_returned(const StageInput& input);

/// Returns whether a part overtakes prefill, because tokens wait for it.
bool is_urgent(const StageInput& input);

}  // namespace molink
