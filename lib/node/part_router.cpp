// The way of parts on the head. Stages of the head are stages of the ring like any other; without
// one, parts only start here. Decode parts and prefill parts travel in lanes of their own, so that
// a token never waits behind a prompt.
#include "node/part_router.h"

#include <cassert>
#include <utility>
#include <variant>

namespace molink {

void PartRouter::open(PipelineEpoch epoch, Ring ring, std::vector<StageSession*> own) {
    assert(own.size() == ring.size());
    epoch_ = epoch;
    ring_ = std::move(ring);
    own_ = std::move(own);
}

void PartRouter::close() {
    ring_ = Ring();
    own_.clear();
}

void PartRouter::launch(PartPlan plan) {
    if (is_open()) route(std::move(plan));
}

std::size_t PartRouter::backlog_bytes() const {
    if (!is_open() || ring_.stage(0).on_head()) return 0;
    return ports_.pending_bytes(ring_.stage(0).node);
}

void PartRouter::forward(StageInput input) {
    if (is_current(key_of(input).epoch)) route(std::move(input));
}

void PartRouter::feed_back(TokenFeedback tokens) {
    if (!is_current(tokens.key.epoch)) return;
    ports_.send(ring_.stage(0).node, Lane::token, epoch_, Message(std::move(tokens)));
}

Status PartRouter::deliver(StageInput input) {
    StageSession& session = *own(stage_of(input, ring_.shape()));
    return session.submit(std::move(input), clock_.now_us());
}

void PartRouter::route(StageInput input) {
    const std::size_t stage = stage_of(input, ring_.shape());
    if (own(stage) != nullptr) {
        const Status submitted = deliver(std::move(input));
        if (!submitted.ok()) log_(LogLevel::error, "{}", submitted.message());
        return;
    }
    const Lane lane = is_urgent(input) ? Lane::decode : Lane::prefill;
    ports_.send(ring_.stage(stage).node, lane, epoch_,
                std::visit([](auto& part) { return Message(std::move(part)); }, input));
}

}  // namespace molink
