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
      session_(executor, *this),
      prober_(log) {}

WorkerNode::~WorkerNode() = default;

Status WorkerNode::attach(ChannelHub& hub, const std::string& advertise) {
    hub_ = &hub;
    prober_.attach(hub);
    advertise_ = advertise;
    started_us_ = next_heartbeat_us_ = clock_.now_us();
    MOLINK_ASSIGN_OR_RETURN(head_, hub_->dial(config_.join));
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
    ++heartbeat_;
    if (welcomed_) {
        Heartbeat heartbeat{heartbeat_, {}};
        const bool to_head = next_is_head();
        if (to_head || (next_ && next_up_)) {
            const ChannelStats stats = hub_->stats(to_head ? head_ : *next_);
            heartbeat.next_link = StageLinkReport{
                epoch_, make_link_report(make_link_metrics(config_.identity.name, "next", stats))};
        }
        send_head(Lane::control, heartbeat);
    }
    check_liveness(now);
}

void WorkerNode::report_probes(std::int64_t now_us) {
    for (const LinkProbe& probe : prober_.pump(now_us)) send_head(Lane::control, probe);
}

void WorkerNode::check_liveness(std::int64_t now_us) {
    const auto seconds = [](std::int64_t us) { return static_cast<double>(us) / 1e6; };
    if (!welcomed_) {
        if (now_us - started_us_ <= config_.join_within_us) return;
        end(make_error(StatusCode::unavailable, "no head answered at {} within {:.0f} s",
                       config_.join, seconds(config_.join_within_us)));
        return;
    }
    if (head_interrupted_us_ != 0 && now_us - head_interrupted_us_ > config_.reconnect_within_us) {
        end(make_error(
            StatusCode::unavailable,
            "the head '{}' was lost: its connection was reset and did not come back within "
            "{:.1f} s",
            head_name_, seconds(config_.reconnect_within_us)));
        return;
    }
    if (now_us - head_heard_us_ > config_.head_lost_after_us) {
        end(make_error(StatusCode::unavailable,
                       "the head '{}' was lost: no sign of life for {:.1f} s", head_name_,
                       seconds(now_us - head_heard_us_)));
        return;
    }
    const std::int64_t patience = config_.reconnect_within_us + limits::kNeighbourGraceUs;
    if (next_interrupted_us_ != 0 && now_us - next_interrupted_us_ > patience) {
        fail_stage(StatusCode::unavailable,
                   fmt::format("the link to the next stage at {} was lost and did not come back "
                               "within {:.1f} s",
                               next_address(), seconds(patience)));
    }
    std::vector<LinkId> late;
    for (const auto& [link, since] : strangers_) {
        if (now_us - since > limits::kHelloWithinUs) late.push_back(link);
    }
    for (LinkId link : late) {
        strangers_.erase(link);
        hub_->close(link);
    }
}

void WorkerNode::on_link_up(LinkId link, bool dialed) {
    if (!dialed) {
        strangers_[link] = clock_.now_us();
        return;
    }
    if (prober_.owns(link)) {
        prober_.on_link_up(link);
    } else if (link == head_) {
        head_up_ = true;
        head_heard_us_ = clock_.now_us();
        send_head(Lane::control, Message(make_hello(config_.identity, advertise_)));
    } else if (next_ && link == *next_) {
        next_up_ = true;
        hub_->set_epoch(link, epoch_);
        const PeerHello hello{epoch_, node_, session_.assignment().stage_index};
        const Status sent = hub_->send(link, Lane::control, epoch_, encode_message(hello));
        if (!sent.ok()) log_(LogLevel::warning, "peer hello: {}", sent.message());
    }
}

void WorkerNode::on_link_interrupted(LinkId link) {
    if (prober_.owns(link)) return;
    if (link == head_) head_interrupted_us_ = clock_.now_us();
    if (next_ && link == *next_) next_interrupted_us_ = clock_.now_us();
    log_(LogLevel::warning, "link to {} interrupted", link == head_ ? "the head" : "a stage");
}

void WorkerNode::on_link_resumed(LinkId link) {
    if (prober_.owns(link)) return;
    if (link == head_) {
        head_interrupted_us_ = 0;
        head_heard_us_ = clock_.now_us();
    }
    if (next_ && link == *next_) next_interrupted_us_ = 0;
    log_(LogLevel::info, "link to {} resumed", link == head_ ? "the head" : "a stage");
}

void WorkerNode::on_link_lost(LinkId link, const Status& reason) {
    strangers_.erase(link);
    if (prober_.owns(link)) prober_.on_link_lost(link);
    if (previous_ && link == *previous_) previous_.reset();
    if (link == head_) {
        const Status lost =
            reason.with_context(fmt::format("link to the head at {}", config_.join));
        end(lost.ok() ? Status(StatusCode::unavailable, "the head was lost") : lost);
    } else if (next_ && link == *next_) {
        log_(LogLevel::warning, "link to the next stage lost: {}", reason.message());
        if (next_interrupted_us_ == 0) next_interrupted_us_ = clock_.now_us();
        next_.reset();
    }
}

void WorkerNode::on_message(LinkId link, Lane, PipelineEpoch, Bytes bytes) {
    if (over()) return;
    auto message = decode_message(bytes);
    if (link == head_) {
        head_heard_us_ = clock_.now_us();
        if (!message) {
            end(message.error().with_context("message from the head"));
            return;
        }
        handle_head(std::move(*message));
        return;
    }
    if (!message) {
        log_(LogLevel::warning, "message from a peer: {}", message.error().message());
        strangers_.erase(link);
        if (previous_ && link == *previous_) previous_.reset();
        hub_->close(link);
        return;
    }
    handle_peer(link, std::move(*message));
}

void WorkerNode::handle_head(Message message) {
    if (is_work(message)) {
        handle_work(std::move(message));
    } else if (const auto* welcome = std::get_if<Welcome>(&message)) {
        welcomed_ = true;
        node_ = welcome->node;
        head_name_ = welcome->head_name;
        log_(LogLevel::info, "joined the head '{}' as node {}", head_name_, node_.value);
    } else if (const auto* assign = std::get_if<Assign>(&message)) {
        on_assign(*assign);
    } else if (const auto* asked = std::get_if<ProbeLink>(&message)) {
        ProbeLink target = *asked;
        if (target.address.empty()) target.address = config_.join;
        prober_.dial(node_, target, clock_.now_us());
    } else if (const auto* start = std::get_if<StageStart>(&message)) {
        on_start(*start);
    } else if (const auto* refuse = std::get_if<Refuse>(&message)) {
        farewell_ = refuse->reason;
        if (refuse->code == StatusCode::cancelled) {
            end(Status());  // the cluster is closed
        } else {
            end(Status(refuse->code,
                       (welcomed_ ? "dismissed: " : "refused by the head: ") + refuse->reason));
        }
    } else if (!std::holds_alternative<Heartbeat>(message)) {
        end(make_error(StatusCode::data_loss, "the head sent a {} message, which only workers send",
                       message_name(message)));
    }
}

void WorkerNode::handle_peer(LinkId link, Message message) {
    if (prober_.handle(link, node_, message, strangers_.contains(link), clock_.now_us())) {
        strangers_.erase(link);
        return;
    }
    if (is_work(message)) {
        if (previous_ && link == *previous_) handle_work(std::move(message));
        return;
    }
    const Assign& assign = session_.assignment();
    const auto* hello = std::get_if<PeerHello>(&message);
    const bool expected = hello != nullptr && strangers_.contains(link) && has_stage() &&
                          hello->epoch == epoch_ &&
                          assign.ring.shape().previous(assign.stage_index) ==
                              std::optional<std::size_t>(hello->stage_index);
    strangers_.erase(link);
    if (!expected) {
        log_(LogLevel::warning, "peer refused: it is not the stage before this one in epoch {}",
             epoch_.epoch.value);
        hub_->close(link);
        return;
    }
    if (previous_) hub_->close(*previous_);
    previous_ = link;
}

void WorkerNode::on_assign(const Assign& assign) {
    if (assign.stage().node != node_) {
        end(make_error(StatusCode::data_loss, "the head assigned the stage of node {} to node {}",
                       assign.stage().node.value, node_.value));
        return;
    }
    drop_peers();
    epoch_ = assign.epoch;
    hub_->set_epoch(head_, epoch_);
    pages_ready_ = false;
    progress_ = {};
    kv_blocks_ = 0;
    state_ = NodeState::loading;
    const LayerRange layers = assign.stage().layers;
    log_(LogLevel::info, "epoch {}: stage {} of {}, layers {}-{}", epoch_.epoch.value,
         assign.stage_index + 1, assign.ring.size(), layers.begin, layers.end - 1);
    session_.assign(assign);
}

void WorkerNode::drop_peers() {
    if (next_) hub_->close(*next_);
    if (previous_) hub_->close(*previous_);
    next_.reset();
    previous_.reset();
    next_up_ = false;
    next_interrupted_us_ = 0;
}

void WorkerNode::on_start(const StageStart& start) {
    kv_blocks_ = start.kv_blocks;
    const Status started = session_.start(start);
    if (!started.ok()) {
        fail_stage(started.code(), started.message());
        return;
    }
    if (next_is_head()) return;
    auto dialed = hub_->dial(next_address());
    if (!dialed) {
        fail_stage(dialed.error().code(), dialed.error().message());
        return;
    }
    next_ = *dialed;
}

bool WorkerNode::has_stage() const {
    return !session_.assignment().ring.empty();
}

/// The stage sends to the head: to its stage, or because no stage comes next.
bool WorkerNode::next_is_head() const {
    return has_stage() && session_.assignment().ring.next_node(node_) == kHeadNode;
}

/// What this stage dials; only when next_is_head() is false.
const std::string& WorkerNode::next_address() const {
    const Ring& ring = session_.assignment().ring;
    return ring.stage(*ring.shape().next(session_.assignment().stage_index)).address;
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
    log_(LogLevel::error, "stage failed: {}", reason);
    drop_peers();
    state_ = NodeState::joined;
    send_head(Lane::control, StageFailed{epoch_, code, reason});
}

void WorkerNode::report_ready() {
    if (!pages_ready_ || state_ != NodeState::loading) return;
    // The next stage must know us before the first part can reach it: lanes do not wait for each
    // other.
    if (!next_is_head() && (!next_ || !next_up_ || hub_->pending_bytes(*next_) > 0)) return;
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
    if (!next_) return;  // lost; the head ends the epoch, or check_liveness tells it
    const Status sent = hub_->send(*next_, lane, epoch_, encode_message(message));
    if (!sent.ok()) fail_stage(sent.code(), sent.message());
}

void WorkerNode::send_head(Lane lane, const Message& message) {
    if (!head_up_) return;
    const Status sent = hub_->send(head_, lane, epoch_, encode_message(message));
    if (!sent.ok()) log_(LogLevel::warning, "send to the head: {}", sent.message());
}

void WorkerNode::farewell() {
    if (!over()) send_head(Lane::control, Refuse{StatusCode::cancelled, "it was closed"});
}

WorkerView WorkerNode::view() const {
    WorkerView view;
    view.state = state_;
    view.welcomed = welcomed_;
    view.address = advertise_;
    view.layers = has_stage() ? session_.assignment().stage().layers : LayerRange{};
    view.loaded_bytes = static_cast<std::int64_t>(progress_.done_bytes);
    view.weight_bytes = static_cast<std::int64_t>(progress_.total_bytes);
    view.kv_blocks = static_cast<std::int64_t>(kv_blocks_);
    view.epoch = epoch_.epoch.value;
    view.farewell = farewell_;
    if (head_up_)
        view.links.push_back(make_link_metrics(config_.identity.name, "head", hub_->stats(head_)));
    if (next_ && next_up_)
        view.links.push_back(make_link_metrics(config_.identity.name, "next", hub_->stats(*next_)));
    return view;
}

}  // namespace molink
