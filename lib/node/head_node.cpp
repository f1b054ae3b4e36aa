// The head's state machine. Nothing here blocks, reads a socket or a clock of its own. A node that
// breaks the protocol, goes silent or cannot hold its stage is lost, and every pipeline with a
// stage of it ends; then the head plans again with the nodes that are left, or waits for what is
// missing. Only the head owns deadlines.
#include "node/head_node.h"

#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "node/link_metrics.h"
#include "wire/protocol.h"

namespace molink {

HeadNode::HeadNode(HeadConfig config, HeadPolicies policies, RequestEventSink& events,
                   const Clock& clock, std::vector<StageExecutor*> executors, Log log)
    : config_(std::move(config)),
      clock_(clock),
      log_(log),
      membership_({config_.node_lost_after_us, config_.reconnect_within_us}),
      planner_(config_, std::move(policies.cluster), std::move(policies.partitioner)),
      prober_(log) {
    if (config_.local_stage) {
        membership_.add_head(config_.identity, config_.self);
    } else {
        executors.clear();
    }
    Pipeline::Parts parts{std::move(policies.scheduler), events, std::move(executors), clock};
    pipelines_.push_back(std::make_unique<Pipeline>(PipelineId(0), config_, std::move(parts),
                                                    membership_, *this, log));
}

HeadNode::~HeadNode() = default;

void HeadNode::attach(ChannelHub& hub) {
    hub_ = &hub;
    prober_.attach(hub);
    next_heartbeat_us_ = clock_.now_us();
    if (config_.access != nullptr) next_access_us_ = clock_.now_us();
}

void HeadNode::tick() {
    const std::int64_t now = clock_.now_us();
    for (const auto& pipeline : pipelines_) pipeline->pump();
    if (now >= next_access_us_) refresh_access(now);
    if (now >= next_heartbeat_us_) beat(now);
    const auto flushed = [this](PeerLinkId link) { return hub_->pending_bytes(link) == 0; };
    for (PeerLinkId link : membership_.release_dismissed(now, flushed)) hub_->close(link);
    prober_.pump(now);
    try_build();
    for (const auto& pipeline : pipelines_) pipeline->step();
}

void HeadNode::beat(std::int64_t now_us) {
    next_heartbeat_us_ = now_us + limits::kHeartbeatIntervalUs;
    ++heartbeat_;
    report_unknown_keys();
    lose_overdue(now_us);
    if (membership_.note_silence(now_us)) pipeline_changed();
    for (const auto& pipeline : pipelines_) {
        pipeline->refresh_links();
        pipeline->check_progress();
    }
    for (NodeId node : membership_.workers()) {
        send(node, Lane::control, {}, Message(Heartbeat{heartbeat_, {}, {}}));
    }
}

Pipeline* HeadNode::find_pipeline(PipelineId id) {
    for (const auto& pipeline : pipelines_) {
        if (pipeline->id() == id) return pipeline.get();
    }
    return nullptr;
}

// ---- Peer links --------------------------------------------------------------------------------

bool HeadNode::permits(const PublicKey& key) {
    if (config_.access == nullptr) return false;
    if (config_.access->access(key) != Access::none) return true;
    ++unknown_keys_;
    unknown_key_ = key;
    return false;
}

/// Strangers may knock thousands of times a second: there is one log line a second at most.
void HeadNode::report_unknown_keys() {
    if (unknown_keys_ == 0) return;
    log_(LogLevel::warning, "{} handshakes with keys that may not join; the last was {}",
         std::exchange(unknown_keys_, 0), key_text(*unknown_key_));
}

/// Returns what the peer at the other end of a link may do.
Access HeadNode::access_of(PeerLinkId link) const {
    if (config_.access == nullptr) return Access::member;
    const PeerIdentity peer = hub_->identity(link);
    return peer.key ? config_.access->access(*peer.key) : Access::none;
}

void HeadNode::refresh_access(std::int64_t now_us) {
    next_access_us_ = now_us + limits::kAccessRefreshUs;
    const auto changed = config_.access->refresh();
    if (!changed) {
        log_(LogLevel::error, "{}; the keys that were known before still count",
             changed.error().message());
    }
    if (!changed || !*changed) return;
    for (NodeId node : membership_.workers()) {
        const Member& member = *membership_.find(node);
        if (config_.access->access(*member.key) == Access::member) continue;
        const PeerLinkId link = member.link;
        lose_node(node, "its key was revoked");
        hub_->close(link);
        membership_.forget_link(link);
    }
}

void HeadNode::on_link_up(PeerLinkId link, bool) {
    membership_.add_stranger(link, clock_.now_us());
}

void HeadNode::on_link_interrupted(PeerLinkId link) {
    const Member* member = membership_.on_interrupted(link, clock_.now_us());
    if (member == nullptr) return;
    log_(LogLevel::warning, "the link to '{}' is interrupted", member->process_name);
    pipeline_changed();
}

void HeadNode::on_link_resumed(PeerLinkId link) {
    const Member* member = membership_.on_resumed(link, clock_.now_us());
    if (member == nullptr) return;
    log_(LogLevel::info, "the link to '{}' is resumed", member->process_name);
    pipeline_changed();
}

/// The head dials only to measure links, and plans without those that it cannot reach.
void HeadNode::on_resolved(PeerLinkId, const Status& outcome) {
    if (!outcome.ok()) log_(LogLevel::warning, "{}", outcome.message());
}

void HeadNode::on_link_lost(PeerLinkId link, const Status& reason) {
    membership_.forget_link(link);
    if (prober_.owns(link)) prober_.on_link_lost(link);
    const Member* member = membership_.find_by_link(link);
    if (member != nullptr) lose_node(member->info.id, reason.message());
}

void HeadNode::on_message(PeerLinkId link, Lane, PipelineEpoch, Bytes bytes) {
    if (membership_.is_dismissed(link)) return;
    auto message = decode_message(bytes);
    const Member* member = membership_.find_by_link(link);
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
        handle_stranger(link, *message);
        return;
    }
    membership_.on_heard(link, clock_.now_us());
    handle_member(member->info.id, std::move(*message));
}

void HeadNode::handle_stranger(PeerLinkId link, const Message& message) {
    const Access access = access_of(link);
    const auto* enrol = std::get_if<Enrol>(&message);
    if (access != Access::member) {
        if (access == Access::token && enrol != nullptr) {
            on_enrol(link, *enrol);
        } else {
            membership_.forget_link(link);
            hub_->close(link);  // its key was revoked, or it said what a token does not permit
        }
        return;
    }
    if (const auto* hello = std::get_if<Hello>(&message)) {
        on_hello(link, *hello);
        return;
    }
    // A link that is only there to be measured, when a member was asked to dial it.
    const auto* probe = std::get_if<ProbeHello>(&message);
    const bool asked = probe != nullptr && membership_.is_stranger(link) &&
                       planner_.surveys(probe->node, kHeadNode) &&
                       membership_.find(probe->node)->key == hub_->identity(link).key;
    if (prober_.handle(link, kHeadNode, message, asked, clock_.now_us())) {
        membership_.forget_link(link);
        hub_->trust(link);
    } else {
        refuse(link, invalid_argument("it sent a {} message before hello", message_name(message)));
    }
}

void HeadNode::handle_member(NodeId process, Message message) {
    if (const auto epoch = Pipeline::epoch_of(message)) {
        // After a pause deadlines have passed that explain what is said here: they come first.
        if (std::holds_alternative<StageFailed>(message)) lose_overdue(clock_.now_us());
        Pipeline* pipeline = find_pipeline(epoch->pipeline);
        if (pipeline == nullptr) {
            lose_node(process,
                      fmt::format("it sent a {} message of pipeline {}, which does not exist",
                                  message_name(message), epoch->pipeline.value));
        } else if (membership_.find(process) != nullptr) {
            pipeline->handle(process, std::move(message));
        }
    } else if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
        set_reports(process, *heartbeat);
        for (const auto& pipeline : pipelines_) {
            pipeline->note_activities(process, heartbeat->stages);
        }
    } else if (const auto* probe = std::get_if<LinkProbe>(&message)) {
        on_probe(process, *probe);
    } else if (const auto* leaving = std::get_if<Refuse>(&message)) {
        lose_node(process, "it left: " + leaving->reason);
    } else {
        lose_node(process, fmt::format("it sent a {} message, which only a head sends",
                                       message_name(message)));
    }
}

void HeadNode::set_reports(NodeId process, const Heartbeat& heartbeat) {
    membership_.set_reports(process, heartbeat.next_links, [this](const StageLinkReport& report) {
        const Pipeline* pipeline = find_pipeline(report.epoch.pipeline);
        return pipeline == nullptr ? std::nullopt : pipeline->node_of(report);
    });
}

// ---- Members -----------------------------------------------------------------------------------

void HeadNode::on_hello(PeerLinkId link, const Hello& hello) {
    const Status fits = check_hello(hello, config_.identity, config_.partition_model);
    if (!fits.ok()) {
        refuse(link, fits);
        return;
    }
    const PeerIdentity peer = hub_->identity(link);
    const Status place = replace_former(peer, hello);
    if (!place.ok()) {
        refuse(link, place);
        return;
    }
    std::vector<Member> nodes = membership_.introduce(hello, clock_.now_us());
    const Status admitted = admit(nodes);
    if (!admitted.ok()) {
        refuse(link, admitted);
        return;
    }
    const NodeId id = nodes.front().process;
    for (const Member& member : nodes) {
        log_(LogLevel::info, "node '{}' joined from {}", member.info.name, member.info.address);
    }
    hub_->trust(link);
    membership_.add(link, std::move(nodes), peer);
    send(id, Lane::control, {}, Message(Welcome{id, config_.identity.name, kProtocolMinor}));
    rebuild_ = true;
    pipeline_changed();
}

/// Makes place for a process that says `hello`: an earlier process with the same key, or one that
/// cannot be reached at the same address, is gone, though nobody said so. Errors: unavailable when
/// the address belongs to another process that is there.
Status HeadNode::replace_former(const PeerIdentity& peer, const Hello& hello) {
    if (const Member* former = peer.key ? membership_.find_by_key(*peer.key) : nullptr) {
        // If it is there after all, it has a copy of the key, and must not come back.
        lose_node(former->process, Status(StatusCode::failed_precondition,
                                          "it was restarted: a process with its key joined from " +
                                              hello.advertise));
    }
    const Member* holder = membership_.find_by_address(hello.advertise);
    if (holder == nullptr) return {};
    if (!holder->silent(clock_.now_us())) {
        return make_error(StatusCode::unavailable,
                          "node '{}' advertises {}, the address of node '{}', which is connected",
                          hello.node_name, hello.advertise, holder->process_name);
    }
    lose_node(holder->process, "it was restarted: another process joined from " + hello.advertise);
    return {};
}

void HeadNode::on_enrol(PeerLinkId link, const Enrol& enrol) {
    const PublicKey pass = *hub_->identity(link).key;
    const Status enrolled = config_.access->enrol(pass, enrol.key, enrol.node_name);
    membership_.dismiss(link, clock_.now_us() + limits::kFarewellUs);
    if (!enrolled.ok()) {
        log_(LogLevel::warning, "a join token was refused: {}", enrolled.message());
        return;
    }
    log_(LogLevel::info, "key {} may join by a token as '{}'", key_text(enrol.key),
         enrol.node_name);
    const Status sent = hub_->send(link, Lane::control, {}, encode_message(Enrolled{}));
    if (!sent.ok()) log_(LogLevel::debug, "could not confirm a key: {}", sent.message());
}

/// Asks the cluster policy about each node of a process. One that may join is enough: the policy
/// does not select the others, which are then left out.
Status HeadNode::admit(const std::vector<Member>& nodes) {
    const std::size_t joined = membership_.members().size();
    if (joined + nodes.size() > limits::kMaxNodes) {
        return make_error(StatusCode::resource_exhausted,
                          "{} nodes have already joined; at most {} are permitted", joined,
                          limits::kMaxNodes);
    }
    const std::vector<NodeInfo> members = fit_nodes();
    Status refusal;
    for (const Member& member : nodes) {
        const Status admitted = planner_.admit(member.info, members);
        if (admitted.ok()) return {};
        if (refusal.ok()) refusal = admitted;
    }
    return refusal;
}

void HeadNode::refuse(PeerLinkId link, const Status& reason) {
    log_(LogLevel::warning, "peer refused: {}", reason.message());
    dismiss(link, {reason.code(), reason.message()});
}

void HeadNode::dismiss(PeerLinkId link, const Refuse& words) {
    membership_.dismiss(link, clock_.now_us() + limits::kFarewellUs);
    const Status sent = hub_->send(link, Lane::control, {}, encode_message(words));
    if (!sent.ok()) log_(LogLevel::debug, "could not send a farewell: {}", sent.message());
}

void HeadNode::lose_overdue(std::int64_t now_us) {
    for (const Membership::Loss& loss : membership_.overdue(now_us)) {
        lose_node(loss.node, loss.reason);
    }
    for (PeerLinkId link : membership_.late_strangers(now_us)) {
        refuse(link, make_error(StatusCode::deadline_exceeded, "it sent no hello within {} s",
                                limits::kHelloWithinUs / 1'000'000));
    }
}

void HeadNode::lose_node(NodeId node, const std::string& reason) {
    lose_node(node, Status(StatusCode::unavailable, reason));
}

/// The process of a node is not served any longer. The code of `reason` tells a worker whether it
/// may come back.
void HeadNode::lose_node(NodeId node, const Status& reason) {
    const Member* found = membership_.find(node);
    if (found == nullptr || found->on_head()) return;
    const NodeId process = found->process;
    const PeerLinkId link = found->link;
    std::string text;
    std::string_view verb;
    std::vector<Pipeline*> ended;
    for (const Member& member : membership_.members()) {
        if (member.process != process) continue;
        verb = text.empty() ? "was" : "were";
        text += fmt::format("{}node '{}'", text.empty() ? "" : " and ", member.info.name);
        for (const auto& pipeline : pipelines_) {
            const auto stage = pipeline->ring().find(member.info.id);
            if (!stage) continue;
            const LayerRange layers = pipeline->ring().stage(*stage).layers;
            text += fmt::format(" (layers {}-{})", layers.begin, layers.end - 1);
            ended.push_back(pipeline.get());
        }
    }
    text += fmt::format(" {} lost: {}", verb, reason.message());
    log_(LogLevel::error, "{}", text);
    planner_.forget(process);
    dismiss(link, {reason.code(), "the head gave up this node: " + reason.message()});
    membership_.remove(process);
    for (Pipeline* pipeline : ended) pipeline->end(Status(StatusCode::unavailable, text));
    last_error_ = text;
    build_error_ = Status();
    rebuild_ = true;
    pipeline_changed();
}

std::vector<NodeInfo> HeadNode::node_infos() const {
    std::vector<NodeInfo> infos = membership_.infos();
    for (NodeInfo& info : infos) {
        for (const auto& pipeline : pipelines_) pipeline->describe(info);
    }
    return infos;
}

/// What the cluster policy decides about.
std::vector<NodeInfo> HeadNode::fit_nodes() const {
    std::vector<NodeInfo> infos = node_infos();
    membership_.keep_fit(infos);
    return infos;
}

// ---- Planning ----------------------------------------------------------------------------------

void HeadNode::try_build() {
    if (!rebuild_ || local_stage_failed_) return;
    const auto idle = std::find_if(pipelines_.begin(), pipelines_.end(),
                                   [](const auto& pipeline) { return !pipeline->active(); });
    if (idle == pipelines_.end()) return;
    const auto order = planner_.select(fit_nodes());
    if (order && survey_links(*order)) return;
    rebuild_ = false;
    if (order && order->empty()) return;
    auto plan = order ? planner_.plan(*order, membership_) : Result<PartitionReport>(order.error());
    if (!plan) {
        (*idle)->show({});
        fail_build(plan.error());
        return;
    }
    build_error_ = Status();
    if (config_.plan_only) {
        (*idle)->show(std::move(*plan));
        return;
    }
    const Status built = (*idle)->build(std::move(*plan));
    if (!built.ok()) fail_build(built);  // check_partition permits nothing that cannot be a ring
}

void HeadNode::fail_build(const Status& reason) {
    build_error_ = reason;
    last_error_ = reason.message();
    log_(LogLevel::error, "{}", last_error_);
    pipeline_changed();
}

/// True while links between the nodes of `order` are being measured.
bool HeadNode::survey_links(const std::vector<NodeId>& order) {
    const bool before = planner_.surveying();
    const LinkSurvey::Turn turn = planner_.survey(order, membership_, clock_.now_us());
    for (const auto& [a, b] : turn.late) {
        log_(LogLevel::warning, "nodes {} and {} did not measure the link between them in time",
             a.value, b.value);
    }
    for (const auto& [first, second] : turn.begin) {
        const bool head = second == kHeadNode;
        const std::string address = head ? "" : membership_.find(second)->info.address;
        const auto target = [&](NodeId node, std::string at, bool last) {
            const Member* member = membership_.find(node);
            return Message(
                ProbeLink{node, std::move(at), last, head ? config_.self.key : member->key});
        };
        send(first, Lane::control, {}, target(second, address, false));
        if (head) continue;
        send(second, Lane::control, {}, target(first, membership_.find(first)->info.address, true));
    }
    if (turn.going != before) pipeline_changed();
    return turn.going;
}

void HeadNode::on_probe(NodeId process, const LinkProbe& probe) {
    if (!planner_.on_probe(process, probe, clock_.now_us())) {
        log_(LogLevel::debug, "node {} reported a link that it was not asked to measure",
             process.value);
    } else if (!probe.reached) {
        const Member* target = membership_.find(probe.to);
        log_(LogLevel::warning, "node '{}' cannot reach '{}': no answer within {} s",
             membership_.find(process)->info.name,
             target != nullptr ? target->info.name : config_.identity.name,
             limits::kProbeWithinUs / 1'000'000);
    }
}

// ---- What pipelines ask for --------------------------------------------------------------------

void HeadNode::send(NodeId node, Lane lane, PipelineEpoch epoch, const Message& message) {
    const Member* member = membership_.find(node);
    if (member == nullptr || hub_ == nullptr) return;
    const Status sent = hub_->send(member->link, lane, epoch, encode_message(message));
    if (!sent.ok())
        log_(LogLevel::warning, "could not send to '{}': {}", member->info.name, sent.message());
}

std::size_t HeadNode::pending_bytes(NodeId node) const {
    const Member* member = membership_.find(node);
    return member == nullptr ? 0 : hub_->pending_bytes(member->link);
}

LinkModel HeadNode::link(NodeId from, NodeId to, PipelineEpoch epoch) const {
    const Member* sender = membership_.find(from);
    if (from == kHeadNode || (sender != nullptr && sender->on_head())) {
        const Member* receiver = membership_.find(to);
        const bool inside = receiver == nullptr || receiver->on_head();
        return inside ? LinkModel() : hub_->stats(receiver->link).link;
    }
    const bool current =
        sender != nullptr && sender->next_link && sender->next_link->epoch == epoch;
    return current ? link_model(sender->next_link->link) : LinkModel();
}

void HeadNode::begin_epoch(PipelineEpoch epoch) {
    for (NodeId node : membership_.workers()) {
        hub_->set_epoch(membership_.find(node)->link, epoch);
    }
}

/// Returns the node that is to blame for a stage that failed. A node that cannot reach the next one
/// is believed the first time; one that complains of several is to blame itself.
NodeId HeadNode::culprit_of(NodeId node, const StageFailed& failed) {
    const Pipeline* pipeline = find_pipeline(failed.epoch.pipeline);
    if (!failed.next_unreachable || pipeline == nullptr) return node;
    const RingStage* next = pipeline->ring().next(failed.stage_index);
    Member* member = membership_.find(node);
    if (next == nullptr || next->on_head() || member == nullptr) return node;
    if (member->unreachable.empty()) member->unreachable = next->address;
    return member->unreachable == next->address ? next->node : node;
}

void HeadNode::stage_failed(NodeId node, const StageFailed& failed, Failure failure) {
    const NodeId culprit = culprit_of(node, failed);
    if (culprit != node) {
        lose_node(culprit, fmt::format("node '{}' cannot work with it: {}",
                                       membership_.find(node)->info.name, failed.reason));
        return;
    }
    const Member* member = membership_.find(node);
    if (member != nullptr && !member->on_head()) {
        const bool lasting = failure == Failure::lasting;
        lose_node(node, Status(lasting ? failed.code : StatusCode::unavailable,
                               "its stage failed: " + failed.reason));
        if (failed.code == StatusCode::resource_exhausted) {
            build_error_ = Status(failed.code, last_error_);
            pipeline_changed();
        }
        return;
    }
    local_stage_failed_ = true;
    build_error_ = Status(failed.code, "the head's own stage failed: " + failed.reason);
    find_pipeline(failed.epoch.pipeline)->end(build_error_);
}

void HeadNode::leave_out(NodeId node, const Status& reason) {
    Member* member = membership_.find(node);
    if (member == nullptr) return;
    member->unfit = reason.message();
    const std::string text = fmt::format("node '{}' is left out until it joins again: {}",
                                         member->info.name, reason.message());
    log_(LogLevel::error, "{}", text);
    build_error_ = Status(reason.code(), text);
    for (const auto& pipeline : pipelines_) {
        if (pipeline->ring().find(node)) pipeline->end(Status(StatusCode::unavailable, text));
    }
}

void HeadNode::pipeline_serves() {
    last_error_.clear();
    pipeline_changed();
}

void HeadNode::pipeline_ended(const Status& reason) {
    last_error_ = reason.message();
    rebuild_ = true;
    pipeline_changed();
}

// ---- The end -----------------------------------------------------------------------------------

void HeadNode::farewell() {
    const Refuse words{StatusCode::cancelled,
                       config_.plan_only ? "the head only wanted a plan; nothing was loaded"
                                         : "the head closed the cluster"};
    for (NodeId node : membership_.workers()) send(node, Lane::control, {}, Message(words));
}

bool HeadNode::flushed() const {
    const std::vector<NodeId> workers = membership_.workers();
    return std::all_of(workers.begin(), workers.end(),
                       [this](NodeId node) { return pending_bytes(node) == 0; });
}

}  // namespace molink
