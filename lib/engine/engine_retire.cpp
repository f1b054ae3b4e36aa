// The retirement half of the engine: records from the last stage become tokens, events and free
// blocks. A record is checked against what was launched before anything is believed: the pipeline
// must never give out a token that no stage sampled for that position.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "engine/engine_core.h"

namespace molink {
namespace {

const SampledRun* find_sampled(const Retire& retire, SequenceId id) {
    for (const SampledRun& sampled : retire.sampled) {
        if (sampled.id == id) return &sampled;
    }
    return nullptr;
}

}  // namespace

Status EngineCore::on_retire(const Retire& retire, std::int64_t now_us) {
    if (!serving_ || retire.epoch != epoch_) return {};
    const auto found = in_flight_.find(retire.part);
    if (found == in_flight_.end()) {
        return make_error(StatusCode::data_loss, "retirement of part {}, which is not under way",
                          retire.part.value);
    }
    MOLINK_RETURN_IF_ERROR(check_retire(retire, found->second));
    const LaunchedPart launched = std::move(found->second);
    in_flight_.erase(found);
    if (launched.kind == PartKind::decode) {
        --decode_parts_in_flight_;
        decoding_in_flight_ -= launched.rows;
    } else {
        --prefill_parts_in_flight_;
        prefill_rows_in_flight_ -= launched.rows;
        counters_.prompt_tokens += static_cast<std::uint64_t>(launched.rows);
    }
    const auto step = steps_in_flight_.find(launched.step);
    if (step != steps_in_flight_.end() && --step->second == 0) steps_in_flight_.erase(step);
    report(launched, retire, now_us);
    for (const LaunchedRun& run : launched.runs) {
        take_run(run, find_sampled(retire, run.sequence->view.id), now_us);
    }
    return {};
}

Status EngineCore::check_retire(const Retire& retire, const LaunchedPart& launched) const {
    for (const LaunchedRun& run : launched.runs) {
        const SampledRun* sampled = find_sampled(retire, run.sequence->view.id);
        const std::size_t tokens = sampled == nullptr ? 0 : sampled->tokens.size();
        if (tokens != static_cast<std::size_t>(run.sample_count)) {
            return make_error(StatusCode::data_loss,
                              "part {} sampled {} tokens for sequence {}; {} were asked for",
                              retire.part.value, tokens, run.sequence->view.id.value,
                              run.sample_count);
        }
        if (sampled == nullptr) continue;
        const std::int32_t position = run.position + run.count - run.sample_count + 1;
        if (tokens > 0 && sampled->position != position) {
            return make_error(StatusCode::data_loss,
                              "part {} sampled position {} of sequence {}; {} was asked for",
                              retire.part.value, sampled->position, run.sequence->view.id.value,
                              position);
        }
        for (Token token : sampled->tokens) {
            if (token >= 0 && token < options_.vocabulary) continue;
            return make_error(StatusCode::data_loss,
                              "part {} sampled token {}; the vocabulary has {}", retire.part.value,
                              token, options_.vocabulary);
        }
        const std::size_t hashes =
            run.sequence->request.hash_logits ? static_cast<std::size_t>(run.count) : 0;
        if (sampled->logit_hashes.size() != hashes) {
            return make_error(StatusCode::data_loss,
                              "part {} has {} logit hashes for sequence {}; {} were asked for",
                              retire.part.value, sampled->logit_hashes.size(),
                              run.sequence->view.id.value, hashes);
        }
    }
    return {};
}

void EngineCore::take_run(const LaunchedRun& run, const SampledRun* sampled, std::int64_t now_us) {
    Sequence& sequence = *run.sequence;
    --sequence.view.parts_in_flight;
    if (sequence.phase == Sequence::Phase::finished) {
        forget_if_idle(sequence);
        return;
    }
    if (sampled == nullptr) return;
    sequence.logit_hashes.insert(sequence.logit_hashes.end(), sampled->logit_hashes.begin(),
                                 sampled->logit_hashes.end());
    // One token per run until drafts are verified; the loop is the shape of both.
    const SequenceId id = sequence.view.id;
    for (Token token : sampled->tokens) {
        take_token(sequence, token, now_us);
        if (find(id) == nullptr || sequence.phase == Sequence::Phase::finished) return;
    }
}

void EngineCore::take_token(Sequence& sequence, Token token, std::int64_t now_us) {
    if (sequence.first_token_us == 0) sequence.first_token_us = now_us;
    sequence.phase = Sequence::Phase::decoding;
    const auto& eos = options_.eos_tokens;
    if (!sequence.request.ignore_eos && std::find(eos.begin(), eos.end(), token) != eos.end()) {
        finish(sequence, FinishReason::stop, Status(), now_us);
        return;
    }
    sequence.tokens.push_back(token);
    ++sequence.output_count;
    ++counters_.output_tokens;
    RequestEvent event;
    event.request = sequence.request.id;
    event.tokens.push_back(token);
    if (sequence.detokenizer != nullptr) event.text = sequence.detokenizer->push(token);
    events_.on_request_event(std::move(event));
    if (sequence.output_count >= sequence.request.max_tokens) {
        finish(sequence, FinishReason::length, Status(), now_us);
        return;
    }
    decodable_.push_back(&sequence.view);
}

void EngineCore::report(const LaunchedPart& launched, const Retire& retire, std::int64_t now_us) {
    meter_.add(launched.kind, launched.rows, retire.stage_times);
    meter_.fill(stages_);
    std::vector<PartReport::Stage> stages;
    for (const StageTime& time : retire.stage_times)
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
