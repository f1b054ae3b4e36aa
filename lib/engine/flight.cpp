// Parts between launch and retirement. A record that does not fit what was launched means that the
// pipeline cannot be trusted any more, so each count, position and token is compared. Relies on
// wire ids being unique within an epoch.
#include "engine/flight.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace molink {

bool LaunchedPart::has_drafts() const {
    return std::any_of(rows.begin(), rows.end(),
                       [](const LaunchedRows& item) { return !item.drafts.empty(); });
}

LaunchedPart& Flight::add(LaunchedPart part) {
    ++steps_[part.key.step];
    if (part.kind == PartKind::decode) {
        ++decode_parts_;
        decoding_sequences_ += static_cast<std::int32_t>(part.rows.size());
    } else {
        ++prefill_parts_;
        prefill_rows_ += part.row_count;
    }
    const PartId id = part.key.id;
    return parts_.emplace(id, std::move(part)).first->second;
}

LaunchedPart* Flight::find(PartId part) {
    const auto found = parts_.find(part);
    return found == parts_.end() ? nullptr : &found->second;
}

void Flight::leave(const LaunchedPart& part) {
    if (part.kind == PartKind::decode) {
        --decode_parts_;
        decoding_sequences_ -= static_cast<std::int32_t>(part.rows.size());
    } else {
        --prefill_parts_;
        prefill_rows_ -= part.row_count;
    }
    const auto step = steps_.find(part.key.step);
    if (step != steps_.end() && --step->second == 0) steps_.erase(step);
}

LaunchedPart Flight::remove(PartId part) {
    LaunchedPart removed = std::move(parts_.extract(part).mapped());
    if (!removed.planned_on) leave(removed);
    return removed;
}

void Flight::plan_on(LaunchedPart& part) {
    part.planned_on = true;
    leave(part);
}

void Flight::clear() {
    *this = Flight();
}

const SampledRows* find_sampled(const RetiredPart& retired, SequenceId wire_id) {
    const auto found =
        std::find_if(retired.sampled.begin(), retired.sampled.end(),
                     [&](const SampledRows& rows) { return rows.sequence == wire_id; });
    return found == retired.sampled.end() ? nullptr : &*found;
}

namespace {

/// Checks the record of one sequence.
class RowsCheck {
public:
    RowsCheck(PartId part, const LaunchedRows& rows, const SampledRows& sampled, bool faulty,
              std::int32_t vocabulary)
        : part_(part.value),
          rows_(rows),
          sampled_(sampled),
          faulty_(faulty),
          sequence_(rows.sequence->view.id.value),
          vocabulary_(vocabulary) {}

    Status run() const {
        MOLINK_RETURN_IF_ERROR(check_tokens());
        MOLINK_RETURN_IF_ERROR(check_drafts());
        MOLINK_RETURN_IF_ERROR(check_logprobs());
        return check_hashes();
    }

private:
    Status check_token(Token token) const {
        if (token >= 0 && token < vocabulary_) return {};
        return make_error(StatusCode::data_loss,
                          "part {} sampled token {}; the vocabulary has {} tokens", part_, token,
                          vocabulary_);
    }

    Status check_tokens() const {
        const std::int32_t position = rows_.span.end() - rows_.span.sampled + 1;
        if (!sampled_.tokens.empty() && sampled_.position != position) {
            return make_error(StatusCode::data_loss,
                              "part {} sampled position {} of sequence {}; {} was asked for", part_,
                              sampled_.position, sequence_, position);
        }
        for (Token token : sampled_.tokens) MOLINK_RETURN_IF_ERROR(check_token(token));
        return {};
    }

    /// All tokens but the last equal the drafts, and the last one does not, unless all were kept or
    /// a fault ends the sequence behind it.
    Status check_drafts() const {
        const std::size_t count = sampled_.tokens.size();
        for (std::size_t i = 0; i < std::min(count, rows_.drafts.size()); ++i) {
            const bool kept = sampled_.tokens[i] == rows_.drafts[i];
            if (kept == (faulty_ || i + 1 < count)) continue;
            return make_error(StatusCode::data_loss,
                              "part {} gave {} tokens for sequence {}: token {} is {}, its draft "
                              "was {}",
                              part_, count, sequence_, i, sampled_.tokens[i], rows_.drafts[i]);
        }
        return {};
    }

    Status check_logprobs() const {
        const std::size_t expected =
            rows_.sequence->request->logprobs >= 0 ? sampled_.tokens.size() : 0;
        if (sampled_.logprobs.size() != expected) {
            return make_error(StatusCode::data_loss,
                              "part {} has {} log-probabilities for sequence {}; {} were asked for",
                              part_, sampled_.logprobs.size(), sequence_, expected);
        }
        for (const TokenLogprobs& logprobs : sampled_.logprobs) {
            for (const TokenLogprob& top : logprobs.top) {
                MOLINK_RETURN_IF_ERROR(check_token(top.token));
            }
        }
        return {};
    }

    /// Hashes cover the rows up to the one that gave the last token. A fault leaves none.
    Status check_hashes() const {
        const Sequence& sequence = *rows_.sequence;
        const std::size_t rejected =
            static_cast<std::size_t>(rows_.span.sampled) - sampled_.tokens.size();
        const std::size_t expected = sequence.request->hash_logits && !faulty_
                                         ? static_cast<std::size_t>(rows_.span.count) - rejected
                                         : 0;
        if (sampled_.logit_hashes.size() != expected) {
            return make_error(StatusCode::data_loss,
                              "part {} has {} logit hashes for sequence {}; {} were asked for",
                              part_, sampled_.logit_hashes.size(), sequence_, expected);
        }
        for (std::size_t i = 0; i < expected; ++i) {
            const std::size_t position = static_cast<std::size_t>(rows_.span.position) + i;
            if (position >= sequence.logit_hashes.size()) break;
            const std::uint64_t before = sequence.logit_hashes[position];
            if (before == 0 || before == sampled_.logit_hashes[i]) continue;
            return make_error(StatusCode::data_loss,
                              "position {} of sequence {} was computed twice with different "
                              "logits: {:016x}, then {:016x}",
                              position, sequence_, before, sampled_.logit_hashes[i]);
        }
        return {};
    }

    std::uint64_t part_;
    const LaunchedRows& rows_;
    const SampledRows& sampled_;
    bool faulty_;
    std::uint64_t sequence_;
    std::int32_t vocabulary_;
};

/// The least and the largest number of tokens that a record may have for a sequence.
struct TokenBounds {
    std::int32_t least = 0;
    std::int32_t most = 0;
};

/// Before a fault, each row that is sampled gives a token.
TokenBounds token_bounds(const RowSpan& span, const RowFault* fault) {
    if (fault == nullptr) return {std::min(span.sampled, 1), span.sampled};
    const std::int32_t before = std::max(fault->position - (span.end() - span.sampled), 0);
    return {before, before};
}

/// Checks that each fault is one of a row of the part.
Status check_faults(const RetiredPart& retired, const LaunchedPart& launched, std::size_t stages) {
    for (const RowFault& fault : retired.faults) {
        const auto rows = std::find_if(
            launched.rows.begin(), launched.rows.end(),
            [&](const LaunchedRows& item) { return item.sequence->wire_id == fault.sequence; });
        if (rows != launched.rows.end() && fault.position >= rows->span.position &&
            fault.position < rows->span.end() && fault.stage < stages) {
            continue;
        }
        return make_error(StatusCode::data_loss,
                          "part {} reports a fault of stage {} at position {} of sequence {}; no "
                          "such row was launched to {} stages",
                          retired.key.id.value, fault.stage, fault.position, fault.sequence.value,
                          stages);
    }
    return {};
}

}  // namespace

Status check_retired(const RetiredPart& retired, const LaunchedPart& launched,
                     const RecordBounds& bounds) {
    const PartId part = retired.key.id;
    MOLINK_RETURN_IF_ERROR(check_faults(retired, launched, bounds.stages));
    for (const LaunchedRows& rows : launched.rows) {
        const SampledRows* sampled = find_sampled(retired, rows.sequence->wire_id);
        const RowFault* fault = find_fault(retired.faults, rows.sequence->wire_id);
        const auto tokens =
            sampled == nullptr ? 0 : static_cast<std::int32_t>(sampled->tokens.size());
        const auto [least, most] = token_bounds(rows.span, fault);
        if (tokens < least || tokens > most) {
            return make_error(StatusCode::data_loss,
                              "part {} sampled {} tokens for sequence {}; {} to {} were asked for",
                              part.value, tokens, rows.sequence->view.id.value, least, most);
        }
        if (sampled == nullptr) continue;
        MOLINK_RETURN_IF_ERROR(
            RowsCheck(part, rows, *sampled, fault != nullptr, bounds.vocabulary).run());
    }
    return {};
}

}  // namespace molink
