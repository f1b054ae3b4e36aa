// The life of one stage: assigned, loaded, started, serving. It only translates between messages
// and executor calls, so that workers, a head with a local stage and the simulator share one
// behaviour. Relies on the executor dropping parts of another epoch and answering every call with
// an event.
#include "pipeline/stage_session.h"

#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "base/limits.h"

namespace molink {

void StageSession::assign(const Assign& assign) {
    assign_ = assign;
    gate_.reset();
    state_ = State::loading;
    StageConfig config;
    config.epoch = assign.epoch;
    config.layers = assign.layers;
    config.has_embedding = assign.has_embedding;
    config.has_head = assign.has_head;
    config.last_stage = assign.last_stage();
    config.activation_type = assign.activation_type;
    config.max_rows = assign.max_rows;
    config.max_sequences = assign.max_sequences;
    config.max_context = assign.max_context;
    config.memory_bytes = assign.memory_bytes;
    config.max_kv_blocks = assign.max_kv_blocks;
    executor_.load(config);
}

Status StageSession::start(const StageStart& start) {
    if (start.epoch != assign_.epoch || state_ != State::loaded) {
        return make_error(StatusCode::failed_precondition,
                          "start of stage in epoch {}: the stage is of epoch {} and not loaded",
                          start.epoch.value, assign_.epoch.value);
    }
    state_ = State::starting;
    executor_.start(start.kv_blocks);
    return {};
}

Status StageSession::submit(Part part, std::int64_t now_us) {
    if (part.epoch < assign_.epoch && !canary(Canary::stale_epoch)) return {};
    if (part.epoch != assign_.epoch || state_ != State::ready) {
        return make_error(StatusCode::failed_precondition,
                          "part {} of epoch {} for a stage of epoch {} that is not ready",
                          part.id.value, part.epoch.value, assign_.epoch.value);
    }
    if (part.returns()) {
        MOLINK_RETURN_IF_ERROR(check_returned(part));
    } else if (gated()) {
        MOLINK_ASSIGN_OR_RETURN(const bool complete, gate_.pass(part));
        if (!complete) return {};
    }
    executor_.submit(std::move(part), now_us);
    return {};
}

/// A part comes back from the last stage; what it says of sequences the stage checks.
Status StageSession::check_returned(const Part& part) const {
    if (!assign_.parts_return()) {
        return make_error(StatusCode::failed_precondition,
                          "part {} came back to stage {}, which has no LM head to give it to",
                          part.id.value, assign_.stage_index);
    }
    if (std::ssize(part.stage_times) == assign_.stage_count) return {};
    return make_error(StatusCode::data_loss,
                      "part {} came back to the LM head with times of {} stages of {}",
                      part.id.value, part.stage_times.size(), assign_.stage_count);
}

Status StageSession::take_feedback(const Retire& tokens, std::int64_t now_us) {
    if (tokens.epoch < assign_.epoch) return {};
    if (tokens.epoch != assign_.epoch || !gated() || state_ != State::ready) {
        return make_error(StatusCode::failed_precondition,
                          "tokens of part {} of epoch {} for stage {} of epoch {}, which waits for "
                          "none",
                          tokens.part.value, tokens.epoch.value, assign_.stage_index,
                          assign_.epoch.value);
    }
    MOLINK_ASSIGN_OR_RETURN(std::vector<Part> complete, gate_.take(tokens));
    for (Part& part : complete) executor_.submit(std::move(part), now_us);
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
            ports_.stage_progress({event.epoch, event.done_bytes, event.total_bytes});
            return;
        case StageEventKind::loaded:
            state_ = State::loaded;
            ports_.stage_loaded({event.epoch, event.weight_bytes, event.kv_block_capacity});
            return;
        case StageEventKind::ready:
            state_ = State::ready;
            ports_.stage_ready({event.epoch});
            return;
        case StageEventKind::result: finish(std::move(event.result), now_us); return;
        case StageEventKind::failed:
            state_ = State::failed;
            ports_.stage_failed({event.epoch, event.status.code(), event.status.message()});
            return;
    }
}

void StageSession::feed_back(const Retire& retire, std::int64_t now_us) {
    Retire tokens = fed_back(retire);
    if (assign_.stage_index > 0) {
        ports_.stage_feedback(std::move(tokens));
        return;
    }
    const Status taken = take_feedback(tokens, now_us);
    if (!taken.ok()) ports_.stage_failed({assign_.epoch, taken.code(), taken.message()});
}

void StageSession::finish(PartResult result, std::int64_t now_us) {
    const bool sampled = assign_.last_stage() || result.part.returns();
    if (!assign_.has_head || !sampled) {
        ports_.stage_forward(std::move(result.part));
        return;
    }
    if (canary(Canary::lost_retirement) && result.sampled.empty() &&
        result.part.id.value % 9 == 0) {
        return;
    }
    const bool decode = result.part.kind == PartKind::decode;
    Retire retire;
    retire.epoch = result.part.epoch;
    retire.step = result.part.step;
    retire.part = result.part.id;
    retire.sampled = std::move(result.sampled);
    retire.stage_times = std::move(result.part.stage_times);
    if (assign_.direct_feedback && decode) feed_back(retire, now_us);
    ports_.stage_retire(std::move(retire));
}

}  // namespace molink
