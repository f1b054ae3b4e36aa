// The way of parts on the head. The head is a node of the ring like any other when it holds a
// stage; else parts only start here. Decode parts and prefill parts travel in lanes of their own,
// so that a token never waits behind a prompt.
#include "node/part_router.h"

#include <utility>
#include <variant>

namespace molink {

void PartRouter::open(PipelineEpoch epoch, Ring ring) {
    epoch_ = epoch;
    ring_ = std::move(ring);
}

void PartRouter::launch(PartPlan plan) {
    if (is_open()) route(ring_.first_node(), std::move(plan));
}

std::size_t PartRouter::backlog_bytes() const {
    if (!is_open() || ring_.first_node() == kHeadNode) return 0;
    return ports_.pending_bytes(ring_.first_node());
}

void PartRouter::send_next(StageInput input) {
    if (is_current(key_of(input).epoch)) route(ring_.next_node(kHeadNode), std::move(input));
}

void PartRouter::send_first(TokenFeedback tokens) {
    if (!is_current(tokens.key.epoch)) return;
    ports_.send(ring_.first_node(), Lane::token, epoch_, Message(std::move(tokens)));
}

Status PartRouter::deliver(StageInput input) {
    return session_->submit(std::move(input), clock_.now_us());
}

void PartRouter::route(NodeId node, StageInput input) {
    if (node == kHeadNode) {
        const Status submitted = deliver(std::move(input));
        if (!submitted.ok()) log_(LogLevel::error, "{}", submitted.message());
        return;
    }
    const Lane lane = is_urgent(input) ? Lane::decode : Lane::prefill;
    ports_.send(node, lane, epoch_,
                std::visit([](auto& part) { return Message(std::move(part)); }, input));
}

}  // namespace molink
