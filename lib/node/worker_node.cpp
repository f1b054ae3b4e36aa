// The worker's state machine: joining, its stage, its peers. A worker never decides about the
// cluster: when something of its own fails it tells the head and waits for the next assignment;
// when the head is lost or closes, its work is over. Parts are only taken from the head and from
// the stage before.
#include "node/worker_node.h"

#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "node/link_metrics.h"

namespace molink {

namespace {

/// Parts and tokens: what the head and the stage before this one send.
bool is_work(const Message& message) {
    return std::holds_alternative<PartPlan>(message) ||
           std::holds_alternative<ForwardedPart>(message) ||
           std::holds_alternative<ReturnedPart>(message) ||
           std::holds_alternative<TokenFeedback>(message);
}

}  // namespace

WorkerNode::WorkerNode(WorkerConfig config, const Clock& clock, StageExecutor& executor, Log log)
    : config_(std::move(config)),
      clock_(clock),
      log_(log),
      head_(config_.join,
            {config_.join_within_us, config_.head_lost_after_us, config_.reconnect_within_us}),
      neighbours_(log),
      prober_(log),
      session_(executor, *this) {}

WorkerNode::~WorkerNode() = default;

Status WorkerNode::attach(ChannelHub& hub, const std::string& advertise) {
    hub_ = &hub;
    prober_.attach(hub);
    neighbours_.attach(hub);
    advertise_ = advertise;
    next_heartbeat_us_ = clock_.now_us();
    MOLINK_ASSIGN_OR_RETURN(const PeerLinkId link, hub_->dial(config_.join));
    head_.begin(link, clock_.now_us());
    return {};
}

void WorkerNode::end(Status outcome) {
    if (outcome_) return;
    if (!outcome.ok()) log_(LogLevel::error, "{}", outcome.message());
    outcome_ = std::move(outcome);
    state_ = NodeState::lost;
}

void WorkerNode::tick() {
    if (over()) return;
    const std::int64_t now = clock_.now_us();
    session_.pump(now);
    report_ready();
    report_probes(now);
    if (now < next_heartbeat_us_) return;
    next_heartbeat_us_ = now + limits::kHeartbeatIntervalUs;
    beat(now);
}

void WorkerNode::beat(std::int64_t now_us) {
    ++heartbeat_;
    if (head_.welcomed()) {
        Heartbeat heartbeat{heartbeat_, {}};
        if (const auto link = next_link()) {
            const auto metrics =
                make_link_metrics(config_.identity.name, "next", hub_->stats(*link));
            heartbeat.next_link = StageLinkReport{epoch_, make_link_report(metrics)};
        }
        send_head(Lane::control, Message(std::move(heartbeat)));
    }
    check_liveness(now_us);
}

void WorkerNode::report_probes(std::int64_t now_us) {
    for (const LinkProbe& probe : prober_.pump(now_us)) send_head(Lane::control, probe);
}

void WorkerNode::check_liveness(std::int64_t now_us) {
    const Status head = head_.check(now_us);
    if (!head.ok()) {
        end(head);
        return;
    }
    if (!head_.welcomed()) return;
    const std::int64_t patience = config_.reconnect_within_us + limits::kNeighbourGraceUs;
    const Status next = neighbours_.check_next(now_us, patience);
    if (!next.ok()) fail_stage(next.code(), next.message());
    neighbours_.close_late(now_us);
}

void WorkerNode::on_link_up(PeerLinkId link, bool dialed) {
    if (!dialed) {
        neighbours_.add_stranger(link, clock_.now_us());
    } else if (prober_.owns(link)) {
        prober_.on_link_up(link);
    } else if (link == head_.link()) {
        head_.on_up(clock_.now_us());
        send_head(Lane::control, Message(make_hello(config_.identity, advertise_)));
    } else {
        neighbours_.on_up(link);
    }
}

void WorkerNode::on_link_interrupted(PeerLinkId link) {
    if (prober_.owns(link)) return;
    const bool head = link == head_.link();
    if (head) head_.on_interrupted(clock_.now_us());
    neighbours_.on_interrupted(link, clock_.now_us());
    log_(LogLevel::warning, "the link to {} is interrupted", head ? "the head" : "a stage");
}

void WorkerNode::on_link_resumed(PeerLinkId link) {
    if (prober_.owns(link)) return;
    const bool head = link == head_.link();
    if (head) head_.on_resumed(clock_.now_us());
    neighbours_.on_resumed(link);
    log_(LogLevel::info, "the link to {} is resumed", head ? "the head" : "a stage");
}

void WorkerNode::on_link_lost(PeerLinkId link, const Status& reason) {
    if (prober_.owns(link)) prober_.on_link_lost(link);
    neighbours_.on_lost(link, reason, clock_.now_us());
    if (link != head_.link()) return;
    const Status lost = reason.with_context(fmt::format("link to the head at {}", config_.join));
    end(lost.ok() ? Status(StatusCode::unavailable, "the head was lost") : lost);
}

void WorkerNode::on_message(PeerLinkId link, Lane, PipelineEpoch, Bytes bytes) {
    if (over()) return;
    auto message = decode_message(bytes);
    if (link == head_.link()) {
        head_.on_heard(clock_.now_us());
        if (!message) {
            end(message.error().with_context("read a message from the head"));
            return;
        }
        handle_head(std::move(*message));
        return;
    }
    if (!message) {
        log_(LogLevel::warning, "a peer sent a message that cannot be read: {}",
             message.error().message());
        neighbours_.refuse(link);
        return;
    }
    handle_peer(link, std::move(*message));
}

void WorkerNode::handle_head(Message message) {
    if (is_work(message)) {
        handle_work(std::move(message));
    } else if (const auto* welcome = std::get_if<Welcome>(&message)) {
        head_.on_welcome(*welcome);
        log_(LogLevel::info, "joined the head '{}' as node {}", head_.name(), head_.node().value);
    } else if (const auto* assign = std::get_if<Assign>(&message)) {
        on_assign(*assign);
    } else if (const auto* asked = std::get_if<ProbeLink>(&message)) {
        ProbeLink target = *asked;
        if (target.address.empty()) target.address = config_.join;
        prober_.dial(head_.node(), target, clock_.now_us());
    } else if (const auto* start = std::get_if<StageStart>(&message)) {
        on_start(*start);
    } else if (const auto* refuse = std::get_if<Refuse>(&message)) {
        on_refuse(*refuse);
    } else if (!std::holds_alternative<Heartbeat>(message)) {
        end(make_error(StatusCode::data_loss, "the head sent a {} message, which only workers send",
                       message_name(message)));
    }
}

void WorkerNode::on_refuse(const Refuse& refuse) {
    farewell_ = refuse.reason;
    if (refuse.code == StatusCode::cancelled) {
        end(Status());  // the cluster is closed
        return;
    }
    const char* how = head_.welcomed() ? "dismissed by the head: " : "refused by the head: ";
    end(Status(refuse.code, how + refuse.reason));
}

void WorkerNode::handle_peer(PeerLinkId link, Message message) {
    const bool stranger = neighbours_.is_stranger(link);
    if (prober_.handle(link, head_.node(), message, stranger, clock_.now_us())) {
        neighbours_.forget_stranger(link);
        return;
    }
    if (is_work(message)) {
        if (neighbours_.is_previous(link)) handle_work(std::move(message));
        return;
    }
    const Assign& assign = session_.assignment();
    const auto* hello = std::get_if<PeerHello>(&message);
    const bool expected = hello != nullptr && stranger && has_stage() && hello->epoch == epoch_ &&
                          assign.ring.shape().previous(assign.stage_index) ==
                              std::optional<std::size_t>(hello->stage_index);
    if (expected) {
        neighbours_.accept_previous(link);
        return;
    }
    log_(LogLevel::warning, "peer refused: it is not the stage before this one in epoch {}",
         epoch_.epoch.value);
    neighbours_.refuse(link);
}

void WorkerNode::on_assign(const Assign& assign) {
    if (assign.stage().node != head_.node()) {
        end(make_error(StatusCode::data_loss, "the head assigned the stage of node {} to node {}",
                       assign.stage().node.value, head_.node().value));
        return;
    }
    epoch_ = assign.epoch;
    neighbours_.begin(epoch_);
    hub_->set_epoch(head_.link(), epoch_);
    pages_ready_ = false;
    progress_ = {};
    kv_blocks_ = 0;
    state_ = NodeState::loading;
    const LayerRange layers = assign.stage().layers;
    log_(LogLevel::info, "epoch {}: stage {} of {}, layers {}-{}", epoch_.epoch.value,
         assign.stage_index + 1, assign.ring.size(), layers.begin, layers.end - 1);
    session_.assign(assign);
}

void WorkerNode::on_start(const StageStart& start) {
    kv_blocks_ = start.kv_blocks;
    const Status started = session_.start(start);
    if (!started.ok()) {
        fail_stage(started.code(), started.message());
        return;
    }
    if (next_is_head()) return;
    const Assign& assign = session_.assignment();
    const Ring& ring = assign.ring;
    const std::string& address = ring.stage(*ring.shape().next(assign.stage_index)).address;
    const Status dialled =
        neighbours_.dial_next(address, {epoch_, head_.node(), assign.stage_index});
    if (!dialled.ok()) fail_stage(dialled.code(), dialled.message());
}

bool WorkerNode::has_stage() const {
    return !session_.assignment().ring.empty();
}

/// The stage sends to the head: to its stage, or because no stage comes next.
bool WorkerNode::next_is_head() const {
    return has_stage() && session_.assignment().ring.next_node(head_.node()) == kHeadNode;
}

std::optional<PeerLinkId> WorkerNode::next_link() const {
    return next_is_head() ? head_.link() : neighbours_.next();
}

void WorkerNode::handle_work(Message message) {
    if (auto* plan = std::get_if<PartPlan>(&message)) {
        on_input(std::move(*plan));
    } else if (auto* forwarded = std::get_if<ForwardedPart>(&message)) {
        on_input(std::move(*forwarded));
    } else if (auto* returned = std::get_if<ReturnedPart>(&message)) {
        on_input(std::move(*returned));
    } else {
        on_feedback(std::get<TokenFeedback>(message));
    }
}

void WorkerNode::on_input(StageInput input) {
    const Status submitted = session_.submit(std::move(input), clock_.now_us());
    if (!submitted.ok()) fail_stage(submitted.code(), submitted.message());
}

void WorkerNode::on_feedback(const TokenFeedback& tokens) {
    const Status delivered = session_.deliver_feedback(tokens, clock_.now_us());
    if (!delivered.ok()) fail_stage(delivered.code(), delivered.message());
}

void WorkerNode::fail_stage(StatusCode code, const std::string& reason) {
    log_(LogLevel::error, "the stage failed: {}", reason);
    neighbours_.drop();
    state_ = NodeState::joined;
    send_head(Lane::control, StageFailed{epoch_, code, reason});
}

void WorkerNode::report_ready() {
    if (!pages_ready_ || state_ != NodeState::loading) return;
    if (!next_is_head() && !neighbours_.next_ready()) return;
    state_ = NodeState::ready;
    send_head(Lane::control, StageReady{epoch_});
}

void WorkerNode::stage_progress(const LoadProgress& progress) {
    progress_ = progress;
    send_head(Lane::control, progress);
}

void WorkerNode::stage_loaded(const StageLoaded& loaded) {
    progress_ = {loaded.epoch, loaded.weight_bytes, loaded.weight_bytes};
    send_head(Lane::control, loaded);
}

void WorkerNode::stage_ready(const StageReady&) {
    pages_ready_ = true;
}

void WorkerNode::stage_failed(const StageFailed& failed) {
    fail_stage(failed.code, failed.reason);
}

void WorkerNode::stage_forward(ForwardedPart part) {
    const Lane lane = part.plan.kind() == PartKind::decode ? Lane::decode : Lane::prefill;
    send_next(lane, Message(std::move(part)));
}

void WorkerNode::stage_return(ReturnedPart part) {
    send_next(Lane::decode, Message(std::move(part)));
}

void WorkerNode::stage_retire(RetiredPart part) {
    send_head(Lane::token, Message(std::move(part)));
}

void WorkerNode::stage_feedback(TokenFeedback tokens) {
    send_next(Lane::token, Message(std::move(tokens)));
}

void WorkerNode::send_next(Lane lane, const Message& message) {
    if (next_is_head()) {
        send_head(lane, message);
        return;
    }
    const Status sent = neighbours_.send_next(lane, message);
    if (!sent.ok()) fail_stage(sent.code(), sent.message());
}

void WorkerNode::send_head(Lane lane, const Message& message) {
    if (!head_.up()) return;
    const Status sent = hub_->send(head_.link(), lane, epoch_, encode_message(message));
    if (!sent.ok()) log_(LogLevel::warning, "could not send to the head: {}", sent.message());
}

void WorkerNode::farewell() {
    if (!over()) send_head(Lane::control, Refuse{StatusCode::cancelled, "it was closed"});
}

WorkerView WorkerNode::view() const {
    WorkerView view;
    view.state = state_;
    view.welcomed = head_.welcomed();
    view.address = advertise_;
    view.layers = has_stage() ? session_.assignment().stage().layers : LayerRange{};
    view.loaded_bytes = static_cast<std::int64_t>(progress_.done_bytes);
    view.weight_bytes = static_cast<std::int64_t>(progress_.total_bytes);
    view.kv_blocks = static_cast<std::int64_t>(kv_blocks_);
    view.epoch = epoch_.epoch.value;
    view.farewell = farewell_;
    const std::string& name = config_.identity.name;
    if (head_.up()) {
        view.links.push_back(make_link_metrics(name, "head", hub_->stats(head_.link())));
    }
    if (const auto next = neighbours_.next()) {
        view.links.push_back(make_link_metrics(name, "next", hub_->stats(*next)));
    }
    return view;
}

}  // namespace molink
