// The retirement half of the engine: records from the last stage become tokens, events and free
// blocks. A record is checked against what was launched before anything is believed: the pipeline
// must never give out a token that no stage sampled for that position.
#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "engine/engine_core.h"
#include "engine/histogram.h"

namespace molink {
namespace {

const SampledRows* find_sampled(const RetiredPart& retired, SequenceId id) {
    for (const SampledRows& sampled : retired.sampled) {
        if (sampled.sequence == id) return &sampled;
    }
    return nullptr;
}

}  // namespace

Status EngineCore::on_retire(const RetiredPart& retired, std::int64_t now_us) {
    const bool stale = !serving_ || retired.key.epoch != epoch_;
    if (stale && !canary(Canary::stale_epoch)) return {};
    const auto found = in_flight_.find(retired.key.id);
    if (found == in_flight_.end()) {
        return make_error(StatusCode::data_loss, "retirement of part {}, which is not under way",
                          retired.key.id.value);
    }
    MOLINK_RETURN_IF_ERROR(check_retire(retired, found->second));
    const LaunchedPart launched = std::move(found->second);
    in_flight_.erase(found);
    if (launched.kind == PartKind::decode) {
        if (!launched.planned_on) leave_flight(launched);
    } else {
        --prefill_parts_in_flight_;
        prefill_rows_in_flight_ -= launched.rows;
        counters_.prompt_tokens += static_cast<std::uint64_t>(launched.rows);
        leave_step(launched.step);
    }
    report(launched, retired, now_us);
    for (const LaunchedRun& run : launched.runs) {
        const PartId ahead =
            run.sample_count > 0 ? std::exchange(run.sequence->ahead, PartId()) : PartId();
        take_run(run, find_sampled(retired, run.sequence->wire_id), now_us);
        if (ahead != PartId()) take_input(ahead, now_us);
    }
    return {};
}

/// A token that a part was launched without is known now.
void EngineCore::take_input(PartId part, std::int64_t now_us) {
    const auto found = in_flight_.find(part);
    if (found == in_flight_.end() || --found->second.unknown > 0) return;
    found->second.launched_us = now_us;  // the stages have just begun with it
    plan_on(found->second);
}

Status EngineCore::check_retire(const RetiredPart& retired, const LaunchedPart& launched) const {
    for (const LaunchedRun& run : launched.runs) {
        const SampledRows* sampled = find_sampled(retired, run.sequence->wire_id);
        const std::size_t tokens = sampled == nullptr ? 0 : sampled->tokens.size();
        if (tokens != static_cast<std::size_t>(run.sample_count)) {
            return make_error(StatusCode::data_loss,
                              "part {} sampled {} tokens for sequence {}; {} were asked for",
                              retired.key.id.value, tokens, run.sequence->view.id.value,
                              run.sample_count);
        }
        if (sampled == nullptr) continue;
        MOLINK_RETURN_IF_ERROR(check_sampled(retired, run, *sampled));
        MOLINK_RETURN_IF_ERROR(check_hashes(retired, run, *sampled));
    }
    return {};
}

Status EngineCore::check_sampled(const RetiredPart& retired, const LaunchedRun& run,
                                 const SampledRows& sampled) const {
    const std::uint64_t sequence = run.sequence->view.id.value;
    const std::int32_t position = run.position + run.count - run.sample_count + 1;
    if (!sampled.tokens.empty() && sampled.position != position) {
        return make_error(StatusCode::data_loss,
                          "part {} sampled position {} of sequence {}; {} was asked for",
                          retired.key.id.value, sampled.position, sequence, position);
    }
    const auto check_token = [&](Token token) -> Status {
        if (token >= 0 && token < options_.vocabulary) return {};
        return make_error(StatusCode::data_loss, "part {} sampled token {}; the vocabulary has {}",
                          retired.key.id.value, token, options_.vocabulary);
    };
    for (Token token : sampled.tokens) MOLINK_RETURN_IF_ERROR(check_token(token));
    const std::size_t expected =
        run.sequence->request->logprobs >= 0 ? static_cast<std::size_t>(run.sample_count) : 0;
    if (sampled.logprobs.size() != expected) {
        return make_error(StatusCode::data_loss,
                          "part {} has {} log-probabilities for sequence {}; {} were asked for",
                          retired.key.id.value, sampled.logprobs.size(), sequence, expected);
    }
    for (const TokenLogprobs& logprobs : sampled.logprobs) {
        for (const TokenLogprob& top : logprobs.top) MOLINK_RETURN_IF_ERROR(check_token(top.token));
    }
    return {};
}

Status EngineCore::check_hashes(const RetiredPart& retired, const LaunchedRun& run,
                                const SampledRows& sampled) const {
    const Sequence& sequence = *run.sequence;
    const std::size_t expected =
        sequence.request->hash_logits ? static_cast<std::size_t>(run.count) : 0;
    if (sampled.logit_hashes.size() != expected) {
        return make_error(
            StatusCode::data_loss, "part {} has {} logit hashes for sequence {}; {} were asked for",
            retired.key.id.value, sampled.logit_hashes.size(), sequence.view.id.value, expected);
    }
    for (std::size_t i = 0; i < expected; ++i) {
        const std::size_t position = static_cast<std::size_t>(run.position) + i;
        if (position >= sequence.logit_hashes.size()) break;
        const std::uint64_t before = sequence.logit_hashes[position];
        if (before == 0 || before == sampled.logit_hashes[i]) continue;
        return make_error(StatusCode::data_loss,
                          "position {} of sequence {} was computed twice with different logits: "
                          "{:016x}, then {:016x}",
                          position, sequence.view.id.value, before, sampled.logit_hashes[i]);
    }
    return {};
}

void EngineCore::take_run(const LaunchedRun& run, const SampledRows* sampled, std::int64_t now_us) {
    Sequence& sequence = *run.sequence;
    --sequence.view.parts_in_flight;
    if (sequence.view.state == SequenceState::finished) {
        forget_if_idle(sequence);
        return;
    }
    sequence.retired = std::max(sequence.retired, run.position + run.count);
    publish_blocks(sequence, sequence.retired);
    if (sampled == nullptr) return;
    take_hashes(run, *sampled);
    // One token per run until drafts are verified; the loop is the shape of both.
    const SequenceId id = sequence.view.id;
    for (std::size_t i = 0; i < sampled->tokens.size(); ++i) {
        const TokenLogprobs* logprobs =
            i < sampled->logprobs.size() ? &sampled->logprobs[i] : nullptr;
        take_token(sequence, sampled->tokens[i], logprobs, now_us);
        if (find(id) == nullptr || sequence.view.state == SequenceState::finished) return;
    }
}

void EngineCore::take_hashes(const LaunchedRun& run, const SampledRows& sampled) {
    if (sampled.logit_hashes.empty()) return;
    auto& hashes = run.sequence->logit_hashes;
    const auto begin = static_cast<std::size_t>(run.position);
    hashes.resize(std::max(hashes.size(), begin + sampled.logit_hashes.size()), 0);
    std::copy(sampled.logit_hashes.begin(), sampled.logit_hashes.end(),
              hashes.begin() + static_cast<std::ptrdiff_t>(begin));
}

bool EngineCore::ends_at(const Sequence& sequence, Token token) const {
    const auto holds = [token](const std::vector<Token>& tokens) {
        return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
    };
    const AdmittedRequest& request = *sequence.request;
    return holds(request.stop_tokens) || (!request.ignore_eos && holds(options_.eos_tokens));
}

void EngineCore::take_token(Sequence& sequence, Token token, const TokenLogprobs* logprobs,
                            std::int64_t now_us) {
    if (sequence.first_token_us == 0) {
        sequence.first_token_us = now_us;
        record(counters_.time_to_first_token_s,
               static_cast<double>(now_us - sequence.request->submitted_us) * 1e-6);
    }
    if (ends_at(sequence, token)) {
        finish(sequence, FinishReason::stop, Status(), now_us);
        return;
    }
    sequence.tokens.push_back(token);
    ++sequence.output_count;
    ++counters_.output_tokens;
    RequestEvent event;
    event.request = sequence.request->id;
    event.index = sequence.index;
    event.tokens.push_back(token);
    if (logprobs != nullptr) event.logprobs.push_back(*logprobs);
    bool stopped = false;
    if (sequence.detokenizer != nullptr) {
        event.text = sequence.detokenizer->push(token);
        if (sequence.stops != nullptr && sequence.output_count > sequence.request->min_tokens) {
            event.text = sequence.stops->push(event.text, stopped);
        }
    }
    events_.on_request_event(std::move(event));
    if (stopped) {
        sequence.detokenizer.reset();  // what it still holds lies beyond the stop string
        finish(sequence, FinishReason::stop, Status(), now_us);
        return;
    }
    if (sequence.output_count >= sequence.request->max_tokens) {
        finish(sequence, FinishReason::length, Status(), now_us);
        return;
    }
    // With direct feedback a row that begins with this token may be under way already.
    const bool idle = sequence.view.parts_in_flight == 0;
    if (idle && sequence.view.state == SequenceState::in_flight) make_decodable(sequence);
}

void EngineCore::report(const LaunchedPart& launched, const RetiredPart& retired,
                        std::int64_t now_us) {
    record(launched.kind == PartKind::decode ? counters_.decode_part_rows
                                             : counters_.prefill_part_rows,
           launched.rows);
    meter_.add(launched.kind, launched.rows, retired.stage_times);
    meter_.fill(stages_);
    std::vector<PartReport::Stage> stages;
    for (const StageTime& time : retired.stage_times)
        stages.push_back({time.compute_us, time.wait_us});
    PartReport part;
    part.kind = launched.kind;
    part.rows = launched.rows;
    part.launched_us = launched.launched_us;
    part.retired_us = now_us;
    part.stages = stages;
    scheduler_->observe(part);
}

}  // namespace molink
