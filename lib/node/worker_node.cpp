// The worker's state machine: joining, its peers, its stages. It never decides about the cluster:
// when the head is gone, its stages wait for the next one, with their layers. Parts are only
// accepted from the head and from the stage before. Relies on WorkerStage for everything that
// concerns one device.
#include "node/worker_node.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/limits.h"
#include "base/peer_limits.h"
#include "node/link_metrics.h"

namespace molink {

namespace {

/// Parts and tokens: what the head and the stage before this one send.
using Work = std::variant<StageInput, TokenFeedback>;

/// Returns the work in a message, which is moved from, or nothing when it is another message.
std::optional<Work> work_of(Message& message) {
    return std::visit(
        [](auto& item) -> std::optional<Work> {
            using Item = std::decay_t<decltype(item)>;
            if constexpr (std::is_same_v<Item, TokenFeedback>) {
                return Work(std::move(item));
            } else if constexpr (std::is_constructible_v<StageInput, Item>) {
                return Work(StageInput(std::move(item)));
            } else {
                return std::nullopt;
            }
        },
        message);
}

PipelineEpoch epoch_of(const Work& work) {
    const auto* tokens = std::get_if<TokenFeedback>(&work);
    return tokens != nullptr ? tokens->key.epoch : key_of(std::get<StageInput>(work)).epoch;
}

/// Returns the stage that work is for.
std::size_t stage_of(const Work& work, const RingShape& ring) {
    const auto* input = std::get_if<StageInput>(&work);
    return input == nullptr ? 0 : molink::stage_of(*input, ring);
}

/// Returns why a head may not answer although it is there.
std::string doubt_of(const WorkerConfig& config) {
    if (!config.self.key) return {};
    return fmt::format("; it is not there, has another key, or does not permit the key {}{}",
                       key_text(*config.self.key),
                       config.join.pass ? ", and the join token is used or expired" : "");
}

/// Returns whether a refusal for this reason would be repeated: the node, its files or its options
/// must change first.
bool is_lasting(StatusCode code) {
    switch (code) {
        case StatusCode::unavailable:
        case StatusCode::resource_exhausted:
        case StatusCode::deadline_exceeded:
        case StatusCode::cancelled: return false;
        default: return true;
    }
}

void give(WorkerStage& stage, Work work) {
    if (auto* input = std::get_if<StageInput>(&work)) {
        stage.submit(std::move(*input));
    } else {
        stage.feed_back(std::get<TokenFeedback>(work));
    }
}

}  // namespace

WorkerNode::WorkerNode(WorkerConfig config, const Clock& clock,
                       std::vector<StageExecutor*> executors, Log log)
    : config_(std::move(config)),
      clock_(clock),
      log_(log),
      head_(config_.join.address,
            {config_.join_within_us, config_.give_up_after_us, config_.head_lost_after_us,
             config_.reconnect_within_us},
            doubt_of(config_)),
      enrolling_(config_.join.pass && !config_.introduced),
      prober_(log) {
    const std::vector<NodeDevice>& devices = config_.identity.devices;
    for (std::size_t i = 0; i < executors.size(); ++i) {
        stages_.push_back(
            std::make_unique<WorkerStage>(devices[i].name, *executors[i], *this, clock, log));
    }
}

WorkerNode::~WorkerNode() = default;

Status WorkerNode::attach(ChannelHub& hub, const std::string& advertise) {
    hub_ = &hub;
    prober_.attach(hub);
    for (const auto& stage : stages_) stage->attach(hub);
    advertise_ = advertise;
    next_heartbeat_us_ = clock_.now_us();
    return dial_head();
}

Status WorkerNode::dial_head() {
    DialTarget target = config_.join;
    if (!enrolling_) target.pass.reset();
    MOLINK_ASSIGN_OR_RETURN(const PeerLinkId link, hub_->dial(target));
    head_.begin(link, clock_.now_us());
    return {};
}

/// Leaves the present link to the head and dials it again.
void WorkerNode::redial_head(std::int64_t now_us) {
    if (!head_.redial_due(now_us)) return;
    hub_->close(head_.link());
    const Status dialled = dial_head();
    if (!dialled.ok()) leave_head(dialled);  // descriptors or memory are short
}

/// A head that does not know the key that was shown ends the handshake without a word. It may know
/// the other one: the token may have been used by this very node, and the answer lost.
void WorkerNode::change_key(std::int64_t now_us) {
    const bool waits = config_.join.pass && !head_.up() && !head_.postponed();
    if (!waits || now_us - head_.dialled_us() < limits::kTryKeyUs) return;
    enrolling_ = !enrolling_;
    head_.postpone(now_us);
}

void WorkerNode::end(Status outcome) {
    if (outcome_) return;
    if (!outcome.ok()) log_(LogLevel::error, "{}", outcome.message());
    outcome_ = std::move(outcome);
}

/// The head is gone, or does not want this node now. Its stages keep their layers unless the head
/// has closed the cluster.
void WorkerNode::leave_head(const Status& reason) {
    log_(LogLevel::warning, "{}", reason.message());
    hub_->close(head_.link());
    head_.leave(reason, clock_.now_us());
    for (const auto& stage : stages_) stage->leave(reason.code() == StatusCode::cancelled);
    prober_.drop();
    epoch_ = {};
    peers_.clear();
    give_up_in_time(clock_.now_us());
}

/// Ends the worker when it has been without a head for longer than it may be.
void WorkerNode::give_up_in_time(std::int64_t now_us) {
    if (!head_.exhausted(now_us)) return;
    const Status absence = head_.absence(now_us);
    const bool closed = absence.code() == StatusCode::cancelled;
    end(closed ? Status() : Status(StatusCode::unavailable, absence.message()));
}

void WorkerNode::tick() {
    if (over()) return;
    const std::int64_t now = clock_.now_us();
    change_key(now);
    redial_head(now);
    for (const auto& stage : stages_) stage->pump();
    report_probes(now);
    if (now < next_heartbeat_us_) return;
    next_heartbeat_us_ = now + limits::kHeartbeatIntervalUs;
    beat(now);
}

void WorkerNode::beat(std::int64_t now_us) {
    ++heartbeat_;
    if (head_.welcomed()) {
        send_head(Lane::control, epoch_,
                  Message(Heartbeat{heartbeat_, link_reports(), activities()}));
    }
    check_liveness(now_us);
}

/// Returns the counters of the links that stages send over to other processes.
std::vector<StageLinkReport> WorkerNode::link_reports() const {
    std::vector<StageLinkReport> reports;
    for (const auto& stage : stages_) {
        const auto link = stage->next_is_head() ? head_.link() : stage->neighbours().next();
        if (!stage->has_stage() || !link) continue;
        const auto metrics = make_link_metrics(config_.identity.name, "next", hub_->stats(*link));
        reports.push_back({stage->epoch(), static_cast<std::uint32_t>(stage->index()),
                           make_link_report(metrics)});
    }
    return reports;
}

std::vector<StageActivity> WorkerNode::activities() const {
    std::vector<StageActivity> activities;
    for (const auto& stage : stages_) {
        if (const auto activity = stage->activity()) activities.push_back(*activity);
    }
    return activities;
}

void WorkerNode::report_probes(std::int64_t now_us) {
    for (const LinkProbe& probe : prober_.pump(now_us)) send_head(Lane::control, epoch_, probe);
}

void WorkerNode::check_liveness(std::int64_t now_us) {
    const Status head = head_.check(now_us);
    if (!head.ok()) leave_head(head);
    give_up_in_time(now_us);
    if (!head_.welcomed()) return;
    const std::int64_t patience = config_.reconnect_within_us + limits::kNeighbourGraceUs;
    for (const auto& stage : stages_) stage->check_next(patience);
    for (PeerLinkId link : strangers_.late(now_us)) refuse_peer(link);
}

bool WorkerNode::permits(const PublicKey& key) {
    return std::any_of(peers_.begin(), peers_.end(),
                       [&](const auto& peer) { return peer.second == key; });
}

/// Returns whether the peer of a link holds the key of the node for which it speaks.
bool WorkerNode::speaks_for(PeerLinkId link, const Message& message) const {
    if (!config_.self.key) return true;
    const auto* hello = std::get_if<ProbeHello>(&message);
    if (hello == nullptr) return true;  // the stages check it
    const auto peer = peers_.find(hello->node);
    return peer != peers_.end() && hub_->identity(link).key == peer->second;
}

void WorkerNode::on_link_up(PeerLinkId link, bool dialed) {
    if (!dialed) {
        strangers_.add(link, clock_.now_us());
    } else if (prober_.owns(link)) {
        prober_.on_link_up(link);
    } else if (link == head_.link()) {
        if (head_.postponed()) return;  // it is closed before the head is dialled again
        head_.on_up(clock_.now_us());
        if (enrolling_) {
            send_head(Lane::control, epoch_,
                      Message(Enrol{*config_.self.key, config_.identity.name}));
        } else {
            send_head(Lane::control, epoch_, Message(make_hello(config_.identity, advertise_)));
        }
    } else {
        for (const auto& stage : stages_) stage->neighbours().on_up(link);
    }
}

/// The head knows the node's key now, or perhaps: the node shows that key the next time.
void WorkerNode::stop_enrolling() {
    enrolling_ = false;
    head_.postpone(clock_.now_us());
}

void WorkerNode::on_link_interrupted(PeerLinkId link) {
    if (prober_.owns(link) || (link == head_.link() && head_.postponed())) return;
    const bool head = link == head_.link();
    if (head && enrolling_) {
        stop_enrolling();
        return;
    }
    if (head) head_.on_interrupted(clock_.now_us());
    for (const auto& stage : stages_) {
        stage->neighbours().on_interrupted(link, clock_.now_us());
    }
    log_(LogLevel::warning, "the link to {} is interrupted", head ? "the head" : "a stage");
}

void WorkerNode::on_link_resumed(PeerLinkId link) {
    if (prober_.owns(link) || (link == head_.link() && head_.postponed())) return;
    const bool head = link == head_.link();
    if (head) head_.on_resumed(clock_.now_us());
    for (const auto& stage : stages_) stage->neighbours().on_resumed(link);
    log_(LogLevel::info, "the link to {} is resumed", head ? "the head" : "a stage");
}

void WorkerNode::on_resolved(PeerLinkId link, const Status& outcome) {
    if (link == head_.link()) head_.on_resolved(outcome);
    for (const auto& stage : stages_) stage->neighbours().on_resolved(link, outcome);
    if (!outcome.ok()) log_(LogLevel::warning, "{}", outcome.message());
}

void WorkerNode::on_link_lost(PeerLinkId link, const Status& reason) {
    if (prober_.owns(link)) prober_.on_link_lost(link);
    strangers_.forget(link);
    for (const auto& stage : stages_) {
        stage->neighbours().on_lost(link, reason, clock_.now_us());
    }
    if (link != head_.link() || head_.postponed()) return;
    if (enrolling_) {
        stop_enrolling();
        return;
    }
    const Status lost = reason.with_context(fmt::format("link to the head at {}", head_.address()));
    if (lost.code() == StatusCode::failed_precondition) {
        end(lost);  // it has another version of the protocol
    } else {
        leave_head(lost.ok() ? Status(StatusCode::unavailable, "the head was lost") : lost);
    }
}

void WorkerNode::on_message(PeerLinkId link, Lane, PipelineEpoch, Bytes bytes) {
    if (over()) return;
    auto message = decode_message(bytes);
    if (link == head_.link()) {
        if (head_.postponed()) return;
        head_.on_heard(clock_.now_us());
        if (!message) {
            leave_head(message.error().with_context("read a message from the head"));
            return;
        }
        handle_head(std::move(*message));
        return;
    }
    if (!message) {
        log_(LogLevel::warning, "a peer sent a message that cannot be read: {}",
             message.error().message());
        refuse_peer(link);
        return;
    }
    handle_peer(link, std::move(*message));
}

void WorkerNode::handle_head(Message message) {
    if (auto work = work_of(message)) {
        const PipelineEpoch epoch = epoch_of(*work);
        const auto found = std::find_if(stages_.begin(), stages_.end(), [&](const auto& stage) {
            return stage->has_stage() && stage->epoch() == epoch &&
                   stage->index() == stage_of(*work, stage->ring().shape());
        });
        if (found != stages_.end()) {
            give(**found, std::move(*work));
        } else if (!is_stale(epoch)) {
            leave_head(make_error(StatusCode::data_loss,
                                  "the head sent work of epoch {} for a stage that is not here",
                                  epoch.epoch.value));
        }
    } else if (const auto* welcome = std::get_if<Welcome>(&message)) {
        head_.on_welcome(*welcome, clock_.now_us());
        for (std::uint32_t i = 0; i < stages_.size(); ++i) {
            log_(LogLevel::info, "joined the head '{}' as node {} on {}", head_.name(),
                 head_.node().value + i, stages_[i]->device());
        }
    } else if (const auto* assign = std::get_if<Assign>(&message)) {
        on_assign(*assign);
    } else if (const auto* asked = std::get_if<ProbeLink>(&message)) {
        ProbeLink target = *asked;
        if (target.address.empty()) target.address = head_.address();
        if (target.key) peers_[target.node] = *target.key;
        prober_.dial(head_.node(), target, clock_.now_us());
    } else if (const auto* start = std::get_if<StageStart>(&message)) {
        on_start(*start);
    } else if (const auto* over = std::get_if<EndEpoch>(&message)) {
        on_end_epoch(*over);
    } else if (const auto* refuse = std::get_if<Refuse>(&message)) {
        on_refuse(*refuse);
    } else if (std::holds_alternative<Enrolled>(message) && enrolling_) {
        if (config_.on_enrolled) config_.on_enrolled();
        stop_enrolling();
    } else if (!std::holds_alternative<Heartbeat>(message)) {
        leave_head(make_error(StatusCode::data_loss,
                              "the head sent a {} message, which only workers send",
                              message_name(message)));
    }
}

void WorkerNode::on_refuse(const Refuse& refuse) {
    farewell_ = refuse.reason;
    const bool lasting = is_lasting(refuse.code);
    std::string_view how = lasting ? "refused by the head: " : "turned away by the head for now: ";
    if (head_.welcomed()) how = "dismissed by the head: ";
    const Status reason(refuse.code, std::string(how) + refuse.reason);
    if (lasting) {
        end(reason);
    } else {
        leave_head(reason);
    }
}

void WorkerNode::handle_peer(PeerLinkId link, Message message) {
    const bool stranger = strangers_.contains(link) && speaks_for(link, message);
    if (prober_.handle(link, head_.node(), message, stranger, clock_.now_us())) {
        strangers_.forget(link);
        hub_->trust(link);
        return;
    }
    if (auto work = work_of(message)) {
        for (const auto& stage : stages_) {
            if (!stage->neighbours().is_previous(link)) continue;
            give(*stage, std::move(*work));
            return;
        }
        return;
    }
    const auto* hello = std::get_if<PeerHello>(&message);
    const auto found = std::find_if(stages_.begin(), stages_.end(), [&](const auto& stage) {
        return hello != nullptr && stranger && stage->expects(*hello, hub_->identity(link));
    });
    if (found != stages_.end()) {
        strangers_.forget(link);
        (*found)->neighbours().accept_previous(link);
        return;
    }
    log_(LogLevel::warning, "peer refused: it is not the stage before one of these in epoch {}",
         epoch_.epoch.value);
    refuse_peer(link);
}

/// Closes a link of a peer that is not to be listened to.
void WorkerNode::refuse_peer(PeerLinkId link) {
    strangers_.forget(link);
    const Status refused(StatusCode::data_loss, "the peer broke the protocol");
    for (const auto& stage : stages_) {
        stage->neighbours().on_lost(link, refused, clock_.now_us());
    }
    hub_->close(link);
}

void WorkerNode::on_assign(const Assign& assign) {
    const std::uint32_t node = assign.stage().node.value;
    const std::uint32_t first = head_.node().value;
    if (!head_.welcomed() || node < first || node - first >= stages_.size()) {
        leave_head(make_error(StatusCode::data_loss,
                              "the head assigned the stage of node {} to a worker with nodes {}-{}",
                              node, first, first + stages_.size() - 1));
        return;
    }
    epoch_ = assign.epoch;
    epoch_over_ = false;
    peers_.clear();
    for (const RingStage& stage : assign.ring.stages()) {
        if (stage.key) peers_[stage.node] = *stage.key;
    }
    hub_->set_epoch(head_.link(), epoch_);
    stages_[node - first]->assign(assign);
}

void WorkerNode::on_start(const StageStart& start) {
    WorkerStage* stage = find_stage(start.epoch, start.stage_index);
    if (stage != nullptr) {
        stage->start(start);
    } else if (!is_stale(start.epoch)) {
        leave_head(
            make_error(StatusCode::data_loss,
                       "the head started stage {} of epoch {}, which it assigned to nobody here",
                       start.stage_index, start.epoch.epoch.value));
    }
}

/// The stages wait for the next epoch. Nobody may dial them until then.
void WorkerNode::on_end_epoch(const EndEpoch& over) {
    for (const auto& stage : stages_) {
        if (stage->has_stage() && stage->epoch() == over.epoch) stage->leave(false);
    }
    if (over.epoch != epoch_) return;
    epoch_over_ = true;
    peers_.clear();
}

WorkerStage* WorkerNode::find_stage(PipelineEpoch epoch, std::size_t index) {
    for (const auto& stage : stages_) {
        if (stage->has_stage() && stage->epoch() == epoch && stage->index() == index) {
            return stage.get();
        }
    }
    return nullptr;
}

/// Returns whether an epoch is over: the head has ended it, or a later one of the same pipeline has
/// begun here.
bool WorkerNode::is_stale(PipelineEpoch epoch) const {
    if (epoch_over_ && epoch == epoch_) return true;
    return epoch.pipeline == epoch_.pipeline && epoch.epoch < epoch_.epoch;
}

void WorkerNode::send_head(Lane lane, PipelineEpoch epoch, const Message& message) {
    if (!head_.up()) return;
    const Status sent = hub_->send(head_.link(), lane, epoch, encode_message(message));
    if (!sent.ok()) log_(LogLevel::warning, "could not send to the head: {}", sent.message());
}

void WorkerNode::farewell() {
    if (over()) return;
    send_head(Lane::control, epoch_, Message(Refuse{StatusCode::cancelled, "it was closed"}));
}

NodeState WorkerNode::state() const {
    if (over()) return NodeState::lost;
    std::size_t held = 0;
    std::size_t ready = 0;
    for (const auto& stage : stages_) {
        if (!stage->has_stage() || stage->epoch() != epoch_) continue;
        if (stage->state() == NodeState::loading) return NodeState::loading;
        ++held;
        if (stage->state() == NodeState::ready) ++ready;
    }
    return held > 0 && ready == held ? NodeState::ready : NodeState::joined;
}

WorkerView WorkerNode::view() const {
    WorkerView view;
    view.state = state();
    view.welcomed = head_.welcomed();
    view.address = advertise_;
    for (const auto& stage : stages_) view.stages.push_back(stage->view());
    view.epoch = epoch_.epoch.value;
    view.farewell = farewell_;
    if (!head_.welcomed()) view.absence = head_.absence(clock_.now_us()).message();
    const std::string& name = config_.identity.name;
    if (head_.up()) {
        view.links.push_back(make_link_metrics(name, "head", hub_->stats(head_.link())));
    }
    for (const auto& stage : stages_) {
        const auto next = stage->neighbours().next();
        if (next) view.links.push_back(make_link_metrics(name, "next", hub_->stats(*next)));
    }
    return view;
}

}  // namespace molink
