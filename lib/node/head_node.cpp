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
#include "stage/part_return.h"

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

void HeadNode::on_message(LinkId link, Lane, Epoch, Bytes bytes) {
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
    if (auto* retire = std::get_if<Retire>(&message)) {
        on_retire(node, *retire);
    } else if (auto* part = std::get_if<Part>(&message)) {
        on_part(node, std::move(*part));
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

void HeadNode::on_part(NodeId node, Part part) {
    if (session_ == nullptr || !build_.active() || part.epoch != epoch_) return;
    if (build_.find(node) == nullptr || build_.next_of(node) != kHead) {
        lose_node(node, "it sent a part and is not the stage before the head's");
        return;
    }
    const Status submitted = session_->submit(std::move(part), clock_.now_us());
    if (!submitted.ok()) end_pipeline(submitted);
}

void HeadNode::on_retire(NodeId node, const Retire& retire) {
    const bool stale = state_ != EngineState::ready || retire.epoch != epoch_;
    if (!build_.active() || (stale && !canary(Canary::stale_epoch))) return;
    if (build_.sampler() != node) {
        lose_node(node, "it retired a part and does not have the LM head");
        return;
    }
    const Status taken = core_->on_retire(retire, clock_.now_us());
    if (taken.ok()) return;
    if (node == kHead) {
        end_pipeline(taken);
    } else {
        lose_node(node, taken.message());
    }
}

void HeadNode::launch(Part part) {
    route(build_.first(), std::move(part));
}

std::size_t HeadNode::backlog_bytes() const {
    const Member* first = find_member(build_.first());
    if (first == nullptr || first->info.id == kHead) return 0;
    return hub_->pending_bytes(first->link);
}

void HeadNode::route(NodeId node, Part part) {
    if (node == kHead && session_ != nullptr) {
        const Status submitted = session_->submit(std::move(part), clock_.now_us());
        if (!submitted.ok()) log_(LogLevel::error, "{}", submitted.message());
        return;
    }
    const Lane lane = is_urgent(part) ? Lane::decode : Lane::prefill;
    send(node, lane, Message(std::move(part)));
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
void HeadNode::stage_retire(Retire retire) {
    on_retire(kHead, retire);
}
void HeadNode::stage_feedback(Retire tokens) {
    send(build_.first(), Lane::token, Message(std::move(tokens)));
}

void HeadNode::stage_forward(Part part) {
    if (build_.active() && part.epoch == epoch_) route(build_.next_of(kHead), std::move(part));
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
    view.epoch = epoch_.value;
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
    for (const StageRecord& stage : build_.stages()) view.stages.push_back(stage.plan.node);
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
        if (!member.next_link || build_.find(member.info.id) == nullptr) continue;
        const Member* next = find_member(build_.next_of(member.info.id));
        const bool to_head = next == nullptr || next->info.id == kHead;
        links.push_back(make_link_metrics(member.info.name,
                                          to_head ? config_.identity.name : next->info.name,
                                          *member.next_link));
    }
    return links;
}

}  // namespace molink
