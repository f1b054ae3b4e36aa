// Samples tokens and verifies drafts. Everything follows from tokens and positions: penalties from
// the tokens before the row, the random number from the seed and the absolute position. A sequence
// that was preempted, or rebuilt after a crash, therefore continues exactly as it would have. For
// the same reason a draft needs no probabilities: it is accepted if it is the token that would be
// sampled.
#include "stage/run_sampler.h"

#include <limits>
#include <utility>

#include "base/canary.h"
#include "base/float_bits.h"
#include "sampling/sampler.h"

namespace molink {
namespace {

bool needs_history(const SamplingParams& params) {
    return params.repetition_penalty != 1 || params.presence_penalty != 0 ||
           params.frequency_penalty != 0;
}

/// Returns whether stop tokens may not be chosen for `position` yet.
bool forbids_stops(const SequenceOpen& open, std::int32_t position) {
    return position - open.prompt_count < open.min_tokens && !open.stop_tokens.empty();
}

SampledRows begin_sampling(const RowSpan& span) {
    SampledRows sampled;
    sampled.sequence = span.sequence;
    sampled.position = span.end() - span.sampled + 1;
    return sampled;
}

/// Returns whether `token`, which was sampled for `position`, equals the draft at this position.
/// The last row of a span samples for the span's end, where there is no draft.
bool accepts_draft(const RowSpan& span, const StageSequence& sequence, std::int32_t position,
                   Token token) {
    return position < span.end() && sequence.tokens[static_cast<std::size_t>(position)] == token;
}

/// Finds the row of a span at which sampling has to end, and settles what becomes of its fault.
class FaultWatch {
public:
    /// `rows`: the last rows of the span, which have logits.
    FaultWatch(const RowSpan& span, std::int32_t rows, SampledPart& part)
        : sequence_(span.sequence), first_(span.end() - rows), part_(part) {
        if (canary(Canary::fault_ignored)) return;
        const RowFault* known = find_fault(part.faults, span.sequence);
        if (known != nullptr) end_ = known->position;
    }

    /// Returns whether nothing may be sampled from row `i`. `finite`: all its logits are.
    bool stops_at(std::int32_t i, bool finite) {
        const std::int32_t position = first_ + i;
        if (!finite && position < end_ && !canary(Canary::fault_ignored)) {
            add_fault(part_.faults, {sequence_, position, part_.stage, RowFaultKind::logits});
            end_ = position;
        }
        stopped_ = position >= end_;
        return stopped_;
    }

    void finish(SampledRows sampled) {
        if (stopped_) {
            sampled.logit_hashes.clear();
            if (sampled.tokens.empty()) return;
        } else {
            std::erase_if(part_.faults,
                          [this](const RowFault& fault) { return fault.sequence == sequence_; });
        }
        part_.rows.push_back(std::move(sampled));
    }

private:
    SequenceId sequence_;
    std::int32_t first_;
    SampledPart& part_;
    std::int32_t end_ = std::numeric_limits<std::int32_t>::max();
    bool stopped_ = false;
};

}  // namespace

bool RunSampler::is_greedy(const RowSpan& span, const StageSequence& sequence) {
    const SequenceOpen& open = sequence.open;
    const SamplingParams& params = open.sampling;
    return !open.hash_logits && open.logprobs < 0 && !(params.temperature > 0) &&
           !needs_history(params) && params.logit_bias.empty() &&
           !forbids_stops(open, span.end() - span.sampled + 1);
}

void RunSampler::keep_accepted(const RowSpan& span, const StageSequence& sequence,
                               std::span<const Token> tokens, SampledPart& part) {
    SampledRows sampled = begin_sampling(span);
    FaultWatch watch(span, static_cast<std::int32_t>(tokens.size()), part);
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(tokens.size()); ++i) {
        const Token token = tokens[static_cast<std::size_t>(i)];
        if (watch.stops_at(i, token >= 0)) break;
        sampled.tokens.push_back(token);
        if (!accepts_draft(span, sequence, sampled.position + i, token)) break;
    }
    watch.finish(std::move(sampled));
}

void RunSampler::sample(const RowSpan& span, StageSequence& sequence, std::span<const float> logits,
                        SampledPart& part) {
    SampledRows sampled = begin_sampling(span);
    const std::int32_t rows = logit_row_count(span, sequence);
    const std::size_t width = logits.size() / static_cast<std::size_t>(rows);
    FaultWatch watch(span, rows, part);
    for (std::int32_t i = 0; i < rows; ++i) {
        const auto row = logits.subspan(static_cast<std::size_t>(i) * width, width);
        if (watch.stops_at(i, all_finite(row))) break;
        if (sequence.open.hash_logits) sampled.logit_hashes.push_back(hash_logits(row));
        if (i < rows - span.sampled) continue;
        const std::int32_t position = span.end() - rows + i + 1;
        if (needs_history(sequence.open.sampling)) {
            sequence.history.advance(sequence.tokens, static_cast<std::size_t>(position),
                                     static_cast<std::size_t>(sequence.open.prompt_count));
        }
        const bool verifies = i + 1 < rows;
        const Token token =
            verifies && canary(Canary::draft_unverified)
                ? sequence.tokens[static_cast<std::size_t>(position)]
                : choose(sequence, row,
                         canary(Canary::random_position) ? span.position + 1 : position);
        sampled.tokens.push_back(token);
        if (sequence.open.logprobs >= 0) {
            sampled.logprobs.push_back(log_probabilities(row, token, sequence.open.logprobs));
        }
        if (!accepts_draft(span, sequence, position, token)) break;
    }
    watch.finish(std::move(sampled));
}

Token RunSampler::choose(const StageSequence& sequence, std::span<const float> row,
                         std::int32_t position) {
    const SequenceOpen& open = sequence.open;
    const SamplingParams& params = open.sampling;
    std::span<const Token> forbidden;
    if (forbids_stops(open, position)) forbidden = open.stop_tokens;
    if (needs_history(params) || !params.logit_bias.empty() || !forbidden.empty()) {
        adjusted_.assign(row.begin(), row.end());
        adjust_logits(adjusted_, params, sequence.history, forbidden);
        row = adjusted_;
    }
    const SamplerState state{params.temperature, params.seed.value_or(0), params.top_k,
                             params.top_p, params.min_p};
    return sample_token(row, state, position);
}

}  // namespace molink
