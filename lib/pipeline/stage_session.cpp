// The states of one stage: assigned, loaded, started, ready. The session only translates between
// messages and executor calls, so that workers, a head with a local stage and the simulator behave
// equally. Relies on the executor to drop parts of another epoch and to answer every call with an
// event.
#include "pipeline/stage_session.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "base/limits.h"
#include "tensor/activation_codec.h"
#include "wire/protocol.h"

namespace molink {

std::size_t stage_of(const StageInput& input, const RingShape& ring) {
    if (const auto* forwarded = std::get_if<ForwardedPart>(&input)) {
        return forwarded->stage_times.size();
    }
    return is_returned(input) ? ring.lm_head_stage() : 0;
}

void StageSession::begin(const Assign& assign, State state) {
    assign_ = assign;
    gate_.reset();
    state_ = state;
    received_ = sent_ = 0;
    held_us_.clear();
}

void StageSession::assign(const Assign& assign) {
    begin(assign, State::loading);
    StageConfig config;
    config.epoch = assign.epoch;
    config.ring = assign.ring.shape();
    config.stage = assign.stage_index;
    config.layers = assign.stage().layers;
    config.activation_format = assign.protocol_minor >= kMinorOfRowFaults
                                   ? newest_format(assign.activation_type)
                                   : ActivationFormat{assign.activation_type};
    config.max_rows = assign.max_rows;
    config.max_sequences = assign.max_sequences;
    config.max_context = assign.max_context;
    config.memory_bytes = assign.memory_bytes;
    config.max_kv_blocks = assign.max_kv_blocks;
    executor_.load(config);
}

void StageSession::leave() {
    begin({}, State::idle);
    executor_.drop();
}

void StageSession::unload() {
    leave();
    executor_.unload();
}

Status StageSession::start(const StageStart& start) {
    if (start.epoch != assign_.epoch || state_ != State::loaded) {
        return make_error(
            StatusCode::failed_precondition,
            "start the stage of epoch {}: it is not loaded (the last assignment is of epoch {})",
            start.epoch.epoch.value, assign_.epoch.epoch.value);
    }
    state_ = State::starting;
    executor_.start(start.kv_blocks);
    return {};
}

bool StageSession::is_stale(PipelineEpoch epoch) const {
    return epoch.pipeline == assign_.epoch.pipeline && epoch.epoch < assign_.epoch.epoch;
}

Status StageSession::submit(StageInput input, std::int64_t now_us) {
    const PartKey key = key_of(input);
    if (is_stale(key.epoch) && !canary(Canary::stale_epoch)) return {};
    if (key.epoch != assign_.epoch || state_ != State::ready) {
        return make_error(StatusCode::failed_precondition,
                          "compute part {} of epoch {}: its stage is not ready (the last "
                          "assignment is of epoch {})",
                          key.id.value, key.epoch.epoch.value, assign_.epoch.epoch.value);
    }
    MOLINK_RETURN_IF_ERROR(check_input(input));
    if (!is_returned(input)) ++received_;
    if (auto* plan = std::get_if<PartPlan>(&input); plan != nullptr && gated()) {
        MOLINK_ASSIGN_OR_RETURN(const bool complete, gate_.pass(*plan));
        if (!complete) return {};
    }
    run(std::move(input), now_us);
    return {};
}

void StageSession::run(StageInput input, std::int64_t now_us) {
    held_us_.emplace(key_of(input).id, now_us);
    executor_.submit(std::move(input), now_us);
}

StageActivity StageSession::activity(std::int64_t now_us) const {
    StageActivity activity{assign_.epoch, assign_.stage_index, received_, sent_, 0};
    for (const auto& [part, since_us] : held_us_) {
        activity.held_us = std::max(activity.held_us, now_us - since_us);
    }
    return activity;
}

/// The first stage receives plans, and the others receive forwarded parts.
Status StageSession::check_input(const StageInput& input) const {
    if (const auto* returned = std::get_if<ReturnedPart>(&input)) return check_returned(*returned);
    const auto* forwarded = std::get_if<ForwardedPart>(&input);
    if (forwarded == nullptr && assign_.stage_index == 0) return {};
    const std::size_t passed = forwarded == nullptr ? 0 : forwarded->stage_times.size();
    if (forwarded != nullptr && passed > 0 && passed == assign_.stage_index) return {};
    return make_error(StatusCode::failed_precondition,
                      "part {} came {} activations to stage {} after {} stages",
                      key_of(input).id.value, forwarded == nullptr ? "without" : "with",
                      assign_.stage_index, passed);
}

/// Checks a returned part, but not its sequences: the stage itself checks these.
Status StageSession::check_returned(const ReturnedPart& part) const {
    if (!ring().returns() || assign_.stage_index != ring().lm_head_stage()) {
        return make_error(StatusCode::failed_precondition,
                          "part {} came back to stage {}, to which no part returns",
                          part.key.id.value, assign_.stage_index);
    }
    if (part.stage_times.size() == ring().size()) return {};
    return make_error(StatusCode::data_loss,
                      "part {} came back to the LM head with the times of {} of {} stages",
                      part.key.id.value, part.stage_times.size(), ring().size());
}

Status StageSession::deliver_feedback(const TokenFeedback& tokens, std::int64_t now_us) {
    if (is_stale(tokens.key.epoch)) return {};
    if (tokens.key.epoch != assign_.epoch || state_ != State::ready || !gated()) {
        return make_error(
            StatusCode::failed_precondition,
            "tokens of part {} of epoch {} came to stage {} of epoch {}, which waits for "
            "none",
            tokens.key.id.value, tokens.key.epoch.epoch.value, assign_.stage_index,
            assign_.epoch.epoch.value);
    }
    for (PartPlan& plan : gate_.deliver(tokens)) run(std::move(plan), now_us);
    return {};
}

std::size_t StageSession::pump(std::int64_t now_us) {
    std::size_t count = 0;
    StageEvent event;
    while (count < limits::kMaxEventsPerTick && executor_.poll(event)) {
        ++count;
        if (event.epoch == assign_.epoch) handle(std::move(event), now_us);
        event = StageEvent();
    }
    return count;
}

void StageSession::handle(StageEvent event, std::int64_t now_us) {
    switch (event.kind) {
        case StageEventKind::progress:
            ports_.stage_progress(
                {event.epoch, assign_.stage_index, event.done_bytes, event.total_bytes});
            return;
        case StageEventKind::loaded:
            state_ = State::loaded;
            ports_.stage_loaded({event.epoch, assign_.stage_index, event.weight_bytes,
                                 event.kv_block_capacity, std::move(event.tensors)});
            return;
        case StageEventKind::ready:
            state_ = State::ready;
            ports_.stage_ready({event.epoch, assign_.stage_index});
            return;
        case StageEventKind::result: finish(std::move(event.result), now_us); return;
        case StageEventKind::failed: fail(event.status); return;
    }
}

void StageSession::finish(StageOutput output, std::int64_t now_us) {
    held_us_.erase(key_of(output).id);
    if (!std::holds_alternative<RetiredPart>(output)) ++sent_;
    const std::vector<RowFault>& faults = faults_of(output);
    if (!faults.empty() && assign_.protocol_minor < kMinorOfRowFaults) {
        fail_for(faults.front());
        return;
    }
    if (auto* forwarded = std::get_if<ForwardedPart>(&output)) {
        ports_.stage_forward(std::move(*forwarded));
    } else if (auto* returned = std::get_if<ReturnedPart>(&output)) {
        ports_.stage_return(std::move(*returned));
    } else {
        retire(std::move(std::get<RetiredPart>(output)), now_us);
    }
}

/// Ends the epoch: the head, or a stage on the way to it, is too old to end only one sequence.
void StageSession::fail_for(const RowFault& fault) {
    const std::size_t stage = std::min<std::size_t>(fault.stage, ring().last_stage());
    fail(Status(StatusCode::data_loss, describe_fault(fault, assign_.ring.stage(stage).layers)));
}

void StageSession::fail(const Status& status) {
    state_ = State::failed;
    ports_.stage_failed({assign_.epoch, assign_.stage_index, status.code(), status.message()});
}

/// Sends the tokens to the first stage before it tells the head, because parts may wait for them.
void StageSession::retire(RetiredPart part, std::int64_t now_us) {
    if (canary(Canary::lost_retirement) && part.sampled.empty() && part.key.id.value % 9 == 0) {
        return;
    }
    if (ring().feeds_back() && part.kind == PartKind::decode) {
        TokenFeedback tokens = feedback_of(part);
        if (canary(Canary::fault_not_fed_back)) {
            std::erase_if(tokens.accepted, [&](const AcceptedTokens& accepted) {
                return find_fault(part.faults, accepted.sequence) != nullptr;
            });
        }
        if (assign_.stage_index > 0) {
            ports_.stage_feedback(std::move(tokens));
        } else {
            const Status delivered = deliver_feedback(tokens, now_us);
            if (!delivered.ok()) fail(delivered);
        }
    }
    ports_.stage_retire(std::move(part));
}

}  // namespace molink
