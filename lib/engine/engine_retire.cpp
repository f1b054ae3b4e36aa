// Records from the stage with the LM head become tokens, events and free blocks. A record is
// believed only after check_retired has compared it with what was launched. Drafts that were not
// kept set the sequence back: its next row continues behind the last token that was sampled. A row
// without a usable result ends its request.
#include <algorithm>
#include <string>
#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "engine/engine_core.h"
#include "engine/histogram.h"

namespace molink {
namespace {

/// Keeps the hashes of the first `count` rows.
void append_hashes(const LaunchedRows& rows, const SampledRows& sampled, std::size_t count) {
    auto& hashes = rows.sequence->logit_hashes;
    const auto begin = static_cast<std::size_t>(rows.span.position);
    hashes.resize(std::max(hashes.size(), begin + count), 0);
    std::copy_n(sampled.logit_hashes.begin(), count,
                hashes.begin() + static_cast<std::ptrdiff_t>(begin));
}

/// The end of the positions that are computed for good: drafts that were not kept do not count.
std::int32_t kept_end(const LaunchedRows& rows, const SampledRows* sampled) {
    if (sampled == nullptr || rows.span.sampled == 0) return rows.span.end();
    const auto kept = static_cast<std::int32_t>(sampled->tokens.size());
    return rows.span.end() - rows.span.sampled + kept;
}

}  // namespace

Status EngineCore::on_retired(const RetiredPart& retired, std::int64_t now_us) {
    const bool stale = !serving_ || retired.key.epoch != epoch_;
    if (stale && !canary(Canary::stale_epoch)) return {};
    const LaunchedPart* found = flight_.find(retired.key.id);
    if (found == nullptr) {
        return make_error(StatusCode::data_loss, "part {} was retired, but is not in flight",
                          retired.key.id.value);
    }
    MOLINK_RETURN_IF_ERROR(check_retired(retired, *found, {stages_.size(), options_.vocabulary}));
    const LaunchedPart launched = flight_.remove(retired.key.id);
    if (launched.kind == PartKind::prefill) {
        counters_.prompt_tokens += static_cast<std::uint64_t>(launched.row_count);
    }
    report(launched, retired, now_us);
    for (const LaunchedRows& rows : launched.rows) {
        const PartId ahead =
            rows.span.sampled > 0 ? std::exchange(rows.sequence->ahead, PartId()) : PartId();
        retire_rows(rows, retired, now_us);
        if (ahead != PartId()) note_token_known(ahead, now_us);
    }
    return {};
}

/// A token that a part was launched without is known now.
void EngineCore::note_token_known(PartId part, std::int64_t now_us) {
    LaunchedPart* launched = flight_.find(part);
    if (launched == nullptr || --launched->unknown_tokens > 0) return;
    launched->launched_us = now_us;  // the stages have just begun with it
    plan_on(*launched);
}

void EngineCore::retire_rows(const LaunchedRows& rows, const RetiredPart& retired,
                             std::int64_t now_us) {
    Sequence& sequence = *rows.sequence;
    SequenceView& view = sequence.view;
    --view.parts_in_flight;
    if (view.state == SequenceState::finished) {
        forget_if_idle(sequence);
        return;
    }
    const SampledRows* sampled = find_sampled(retired, sequence.wire_id);
    if (const RowFault* fault = find_fault(retired.faults, sequence.wire_id)) {
        end_at_fault(rows, sampled, *fault, now_us);
        return;
    }
    const std::int32_t end = kept_end(rows, sampled);
    if (!rows.drafts.empty()) view.scheduled = end;
    sequence.retired =
        std::max(sequence.retired, canary(Canary::rejected_published) ? rows.span.end() : end);
    publish(sequence);
    if (sampled == nullptr || !append_tokens(rows, *sampled, now_us)) return;
    publish(sequence);
    // With feedback a row that begins with the newest token may be under way already.
    const bool idle = view.parts_in_flight == 0;
    if (idle && view.state == SequenceState::in_flight && !sampled->tokens.empty()) {
        make_decodable(sequence);
    }
}

/// The prefix cache learns of the blocks whose positions and tokens are all known.
void EngineCore::publish(Sequence& sequence) {
    const auto tokens = static_cast<std::int32_t>(sequence.tokens.size());
    ledger_.publish(sequence, std::min(sequence.retired, tokens));
}

/// Returns false when a token ends the sequence, which may be gone then.
bool EngineCore::append_tokens(const LaunchedRows& rows, const SampledRows& sampled,
                               std::int64_t now_us) {
    Sequence& sequence = *rows.sequence;
    const bool hashed = !sampled.logit_hashes.empty();
    const std::size_t silent = hashed ? sampled.logit_hashes.size() - sampled.tokens.size() : 0;
    if (hashed) append_hashes(rows, sampled, silent);  // rows that sample nothing
    for (std::size_t i = 0; i < sampled.tokens.size(); ++i) {
        const TokenLogprobs* logprobs =
            i < sampled.logprobs.size() ? &sampled.logprobs[i] : nullptr;
        if (hashed) append_hashes(rows, sampled, silent + i + 1);
        const FinishReason reason =
            requests_.append_token(sequence, sampled.tokens[i], logprobs, now_us);
        if (reason == FinishReason::none) continue;
        finish(sequence, reason, Status(), now_us);  // what is behind it is dropped
        return false;
    }
    return true;
}

/// The rows up to the fault count. The request ends with the reason, all its completions. Nothing
/// of the part enters the prefix cache: the sequence gives its blocks back unpublished, and a block
/// that another sequence gets is written before it is read.
void EngineCore::end_at_fault(const LaunchedRows& rows, const SampledRows* sampled,
                              const RowFault& fault, std::int64_t now_us) {
    Sequence& sequence = *rows.sequence;
    if (canary(Canary::faulty_published)) {
        sequence.retired = rows.span.end();
        publish(sequence);
    }
    if (sampled != nullptr && !append_tokens(rows, *sampled, now_us)) return;
    const std::string text = describe_fault(fault, stages_[fault.stage].layers);
    const RequestId request = sequence.request->id;
    log_(LogLevel::error, "request {} ends: {}", request.value, text);
    cancel(request, Status(StatusCode::data_loss, text), now_us);
}

void EngineCore::report(const LaunchedPart& launched, const RetiredPart& retired,
                        std::int64_t now_us) {
    record(launched.kind == PartKind::decode ? counters_.decode_part_rows
                                             : counters_.prefill_part_rows,
           launched.row_count);
    meter_.add(launched.kind, launched.row_count, retired.stage_times);
    meter_.fill(stages_);
    std::vector<PartReport::Stage> stages;
    for (const StageTime& time : retired.stage_times) {
        stages.push_back({time.compute_us, time.wait_us});
    }
    PartReport part;
    part.kind = launched.kind;
    part.rows = launched.row_count;
    part.launched_us = launched.launched_us;
    part.retired_us = now_us;
    part.stages = stages;
    planner_.observe(part);
}

}  // namespace molink
