#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <molink/status.h>

#include "stage/run_sampler.h"
#include "stage/sequence_table.h"
#include "stage/stage_executor.h"

namespace molink {

struct FoldShape {
    std::int32_t block_tokens = 16;
    std::int32_t hidden = 2;  ///< values of a row on the wire, at least 2
    /// One layer stands for all of them, and a row reads only its position and the one before it.
    bool light = false;
    double overflows = 0;  ///< share of the values after a layer that are not a number
    /// The weights of the first layer are other ones: results are wrong, and nothing notices it.
    bool damaged = false;
};

/// The layers of one epoch of the fold model, with the sequence table and the sampler of real
/// stages. Each slot of a page records the position and the token that it holds. A row on the wire
/// has the size that the activation type demands: the value, then a pattern made from it, which the
/// next stage checks. Thread: one at a time.
class FoldRunner {
public:
    FoldRunner(const FoldShape& shape, const StageConfig& config);

    /// Allocates the pages.
    void start(std::uint64_t kv_blocks);
    /// Runs a part. Errors: failed_precondition before start(), data_loss when the part or its rows
    /// are wrong.
    Result<StageOutput> run(StageInput input);

    /// Describes the first slot that was read and held another position or token. Empty: none did.
    const std::string& violation() const { return violation_; }
    std::size_t known_sequences() const { return table_ ? table_->size() : 0; }

private:
    struct Slot {
        std::uint64_t value = 0;
        std::int32_t position = -1;
        Token token = -1;
    };

    struct Sums;
    Result<StageOutput> run_layers(PartPlan plan, const ActivationRows* input,
                                   std::vector<StageTime> times, std::vector<RowFault> faults);
    Status run_span(const PartPlan& plan, const ActivationRows* input, const RowSpan& span,
                    Sums& sums);
    Result<StageOutput> sample_returned(const ReturnedPart& part);
    void fold_row(std::uint64_t hidden, std::int32_t at, std::vector<float>& logits) const;
    std::uint64_t run_row(const StageSequence& sequence, std::int32_t position,
                          std::uint64_t hidden);
    std::uint64_t read_slot(const StageSequence& sequence, std::int32_t layer,
                            std::int32_t position, std::uint64_t sum);
    LayerRange kept_layers() const;
    Slot& slot(const StageSequence& sequence, std::int32_t layer, std::int32_t position);
    std::size_t bytes_of_row(const ActivationFormat& format) const;
    Status read_row(PartId part, const ActivationRows& rows, std::size_t row,
                    std::uint64_t& hidden) const;
    void append_row(std::uint64_t hidden, std::size_t bytes, Bytes& rows) const;

    FoldShape shape_;
    StageConfig config_;
    std::unique_ptr<SequenceTable> table_;
    RunSampler sampler_;
    std::vector<Slot> slots_;
    std::uint64_t blocks_ = 0;
    std::string violation_;
};

}  // namespace molink
