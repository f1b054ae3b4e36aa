// The head's state machine: the way of messages and of parts. Membership is in head_members.cpp,
// pipelines in head_build.cpp. Nothing here blocks, reads a socket or a clock of its own; whatever
// goes wrong with one node ends in lose_node(), whatever goes wrong with the pipeline in
// end_pipeline().
#include "node/head_node.h"

#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "base/limits.h"
#include "node/link_metrics.h"

namespace molink {

HeadNode::HeadNode(HeadConfig config, HeadPolicies policies, const Clock& clock,
                   StageExecutor* executor, Log log)
    : config_(std::move(config)),
      policies_(std::move(policies)),
      clock_(clock),
      log_(log),
      prober_(log) {
    if (!config_.local_stage) return;
    session_ = std::make_unique<StageSession>(*executor, *this);
    Member head;
    head.info.id = kHead;
    head.info.name = config_.identity.name;
    head.info.host_id = config_.identity.host_id;
    head.info.fixed_layers = config_.identity.layers;
    head.info.decode_layer_us = config_.identity.profile.decode_layer_us;
    head.profile = config_.identity.profile;
    head.memory_own = config_.identity.memory_own;
    head.offered_bytes = config_.identity.memory_bytes;
    members_.push_back(std::move(head));
}

HeadNode::~HeadNode() = default;

void HeadNode::attach(ChannelHub& hub, EngineCore& core) {
    hub_ = &hub;
    core_ = &core;
    prober_.attach(hub);
    next_heartbeat_us_ = clock_.now_us();
}

void HeadNode::tick() {
    const std::int64_t now = clock_.now_us();
    if (session_ != nullptr) session_->pump(now);
    if (now >= next_heartbeat_us_) {
        next_heartbeat_us_ = now + limits::kHeartbeatIntervalUs;
        ++heartbeat_;
        check_liveness(now);
        if (state_ == EngineState::ready) core_->set_links(stage_links());
        const std::vector<Member> members = members_;
        for (const Member& member : members) {
            if (member.info.id != kHead)
                send(member.info.id, Lane::control, Heartbeat{heartbeat_, {}});
        }
    }
    if (!doomed_.empty()) close_doomed(now);
    prober_.pump(now);
    try_build();
    core_->step(now);
}

void HeadNode::on_message(LinkId link, Lane, PipelineEpoch, Bytes bytes) {
    if (doomed_.contains(link)) return;
    auto message = decode_message(bytes);
    Member* member = member_of(link);
    if (!message) {
        if (member != nullptr) {
            lose_node(member->info.id,
                      "it sent a message that cannot be read: " + message.error().message());
        } else {
            refuse(link, message.error());
        }
        return;
    }
    if (member == nullptr) {
        if (const auto* hello = std::get_if<Hello>(&*message)) {
            on_hello(link, *hello);
        } else if (!take_prober(link, *message)) {
            refuse(link, invalid_argument("a {} message before hello", message_name(*message)));
        }
        return;
    }
    member->info.last_heard_us = clock_.now_us();
    handle(member->info.id, std::move(*message));
}

void HeadNode::handle(NodeId node, Message message) {
    if (const auto* retired = std::get_if<RetiredPart>(&message)) {
        on_retire(node, *retired);
    } else if (auto* forwarded = std::get_if<ForwardedPart>(&message)) {
        on_input(node, std::move(*forwarded));
    } else if (auto* returned = std::get_if<ReturnedPart>(&message)) {
        on_input(node, std::move(*returned));
    } else if (const auto* tokens = std::get_if<TokenFeedback>(&message)) {
        on_feedback(node, *tokens);
    } else if (auto* heartbeat = std::get_if<Heartbeat>(&message)) {
        find_member(node)->next_link = std::move(heartbeat->next_link);
    } else if (const auto* probe = std::get_if<LinkProbe>(&message)) {
        on_probe(node, *probe);
    } else if (const auto* progress = std::get_if<LoadProgress>(&message)) {
        on_progress(node, *progress);
    } else if (const auto* loaded = std::get_if<StageLoaded>(&message)) {
        on_loaded(node, *loaded);
    } else if (const auto* ready = std::get_if<StageReady>(&message)) {
        on_ready(node, *ready);
    } else if (const auto* failed = std::get_if<StageFailed>(&message)) {
        // After a pause deadlines have passed that explain what is said here: they come first.
        check_liveness(clock_.now_us());
        on_failed(node, *failed);
    } else if (const auto* leaving = std::get_if<Refuse>(&message)) {
        lose_node(node, "it left: " + leaving->reason);
    } else {
        lose_node(node, fmt::format("it sent a {} message, which only a head sends",
                                    message_name(message)));
    }
}

/// From the stage before the head's own.
void HeadNode::on_input(NodeId node, StageInput input) {
    if (session_ == nullptr || !active() || key_of(input).epoch != epoch_) return;
    if (!ring_.connects(node, kHead)) {
        lose_node(node, "it sent a part and is not the stage before the head's");
        return;
    }
    const Status submitted = session_->submit(std::move(input), clock_.now_us());
    if (!submitted.ok()) end_pipeline(submitted);
}

/// A head with the first stage needs no feedback, so no ring sends any to it.
void HeadNode::on_feedback(NodeId node, const TokenFeedback& tokens) {
    if (!active() || tokens.key.epoch != epoch_) return;
    lose_node(node, "it sent tokens for the first stage, which is not the head's");
}

void HeadNode::on_retire(NodeId node, const RetiredPart& retired) {
    const bool stale = state_ != EngineState::ready || retired.key.epoch != epoch_;
    if (!active() || (stale && !canary(Canary::stale_epoch))) return;
    if (ring_.lm_head_node() != node) {
        lose_node(node, "it retired a part and does not have the LM head");
        return;
    }
    const Status taken = core_->on_retired(retired, clock_.now_us());
    if (taken.ok()) return;
    if (node == kHead) {
        end_pipeline(taken);
    } else {
        lose_node(node, taken.message());
    }
}

void HeadNode::launch(PartPlan plan) {
    route(ring_.first_node(), std::move(plan));
}

std::size_t HeadNode::backlog_bytes() const {
    const Member* first = find_member(ring_.first_node());
    if (first == nullptr || first->info.id == kHead) return 0;
    return hub_->pending_bytes(first->link);
}

void HeadNode::route(NodeId node, StageInput input) {
    if (node == kHead) {
        const Status submitted = session_->submit(std::move(input), clock_.now_us());
        if (!submitted.ok()) log_(LogLevel::error, "{}", submitted.message());
        return;
    }
    const Lane lane = is_urgent(input) ? Lane::decode : Lane::prefill;
    send(node, lane, std::visit([](auto& part) { return Message(std::move(part)); }, input));
}

void HeadNode::send(NodeId node, Lane lane, const Message& message) {
    const Member* member = find_member(node);
    if (member == nullptr || hub_ == nullptr) return;
    const Status sent = hub_->send(member->link, lane, epoch_, encode_message(message));
    if (!sent.ok()) log_(LogLevel::warning, "send to '{}': {}", member->info.name, sent.message());
}

void HeadNode::stage_progress(const LoadProgress& progress) {
    on_progress(kHead, progress);
}
void HeadNode::stage_loaded(const StageLoaded& loaded) {
    on_loaded(kHead, loaded);
}
void HeadNode::stage_ready(const StageReady& ready) {
    on_ready(kHead, ready);
}
void HeadNode::stage_failed(const StageFailed& failed) {
    on_failed(kHead, failed);
}
void HeadNode::stage_retire(RetiredPart part) {
    on_retire(kHead, part);
}
void HeadNode::stage_feedback(TokenFeedback tokens) {
    if (active() && tokens.key.epoch == epoch_) {
        send(ring_.first_node(), Lane::token, Message(std::move(tokens)));
    }
}

void HeadNode::stage_forward(ForwardedPart part) {
    if (active() && part.plan.key.epoch == epoch_) {
        route(ring_.next_node(kHead), std::move(part));
    }
}

void HeadNode::stage_return(ReturnedPart part) {
    if (active() && part.key.epoch == epoch_) route(ring_.next_node(kHead), std::move(part));
}

void HeadNode::farewell() {
    const std::vector<Member> members = members_;
    for (const Member& member : members) {
        if (member.info.id == kHead) continue;
        send(member.info.id, Lane::control,
             Refuse{StatusCode::cancelled, config_.plan_only
                                               ? "the head only wanted a plan; nothing was loaded"
                                               : "the head closed the cluster"});
    }
}

bool HeadNode::flushed() const {
    for (const auto& [link, node] : node_of_link_) {
        if (hub_->pending_bytes(link) > 0) return false;
    }
    return true;
}

ClusterView HeadNode::view() const {
    ClusterView view;
    view.state = state_;
    view.epoch = epoch_.epoch.value;
    view.last_error = last_error_;
    view.nodes = member_infos();
    if (state_ == EngineState::waiting) {
        view.missing = policies_.cluster->missing(view.nodes);
        if (view.missing.empty()) view.missing = build_error_.message();
        if (view.missing.empty() && survey_.going()) {
            view.missing = "the links between the nodes are being measured";
        }
        if (view.missing.empty() && config_.plan_only) view.missing = "this head only plans";
    } else if (state_ == EngineState::loading) {
        view.missing = "nodes are loading";
    }
    for (const RingStage& stage : ring_.stages()) view.stages.push_back(stage.node);
    return view;
}

std::vector<LinkMetrics> HeadNode::link_metrics() const {
    std::vector<LinkMetrics> links;
    for (const Member& member : members_) {
        if (member.info.id == kHead) continue;
        links.push_back(
            make_link_metrics(config_.identity.name, member.info.name, hub_->stats(member.link)));
    }
    for (const Member& member : members_) {
        if (!member.next_link || member.next_link->epoch != epoch_) continue;
        const Member* next = find_member(ring_.next_node(member.info.id));
        const bool to_head = next == nullptr || next->info.id == kHead;
        links.push_back(make_link_metrics(member.info.name,
                                          to_head ? config_.identity.name : next->info.name,
                                          member.next_link->link));
    }
    return links;
}

}  // namespace molink
