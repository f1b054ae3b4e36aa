// A pipeline through its epochs: assigned, loaded, KV blocks agreed, served, ended. Whatever goes
// wrong with the pipeline itself ends in end(); whatever goes wrong with a worker is the head's to
// decide. Messages of other epochs are late and dropped.
#include "node/pipeline.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "base/peer_limits.h"
#include "kv/capacity.h"
#include "wire/protocol.h"

namespace molink {

Pipeline::Pipeline(PipelineId id, const HeadConfig& config, Parts parts,
                   const Membership& membership, PipelinePorts& ports, Log log)
    : id_(id),
      config_(config),
      membership_(membership),
      ports_(ports),
      clock_(parts.clock),
      log_(log),
      router_(ports, parts.clock, log),
      core_(config.engine, std::move(parts.scheduler), router_, parts.events, log),
      watch_({config.node_lost_after_us, config.reconnect_within_us}) {
    for (std::uint32_t i = 0; i < parts.executors.size(); ++i) {
        own_.push_back({NodeId(kHeadNode.value + i),
                        std::make_unique<StageSession>(*parts.executors[i], *this)});
    }
}

// ---- Building ----------------------------------------------------------------------------------

Result<Ring> Pipeline::make_ring(const PartitionPlan& plan) const {
    std::vector<RingStage> stages;
    for (const StagePlan& stage : plan.stages) {
        const Member& member = *membership_.find(stage.node);
        stages.push_back({stage.node, member.info.address, stage.layers, member.key});
    }
    // A head with the first stage knows every token when it launches.
    const bool feeds_back = config_.direct_feedback && !stages.front().on_head();
    return Ring::make(std::move(stages), plan.lm_head_first, feeds_back);
}

std::vector<StageSession*> Pipeline::own_sessions(const Ring& ring) const {
    std::vector<StageSession*> sessions(ring.size(), nullptr);
    for (const OwnStage& own : own_) {
        if (const auto stage = ring.find(own.node)) sessions[*stage] = own.session.get();
    }
    return sessions;
}

std::uint64_t Pipeline::max_kv_blocks() const {
    const std::int64_t per_sequence = blocks_for(config_.max_context, config_.engine.block_tokens);
    return static_cast<std::uint64_t>(per_sequence * config_.engine.max_running);
}

Assign Pipeline::make_assign(std::size_t stage) const {
    Assign assign;
    assign.epoch = epoch();
    assign.ring = ring();
    assign.stage_index = static_cast<std::uint32_t>(stage);
    assign.activation_type = config_.wire_type;
    assign.max_rows = config_.engine.max_step_tokens;
    assign.max_sequences = config_.engine.max_running;
    assign.max_context = config_.max_context;
    const Member& member = *membership_.find(ring().stage(stage).node);
    assign.memory_bytes = static_cast<std::uint64_t>(membership_.memory_share(member));
    assign.max_kv_blocks = max_kv_blocks();
    assign.protocol_minor = lowest_minor();
    return assign;
}

/// Returns the minor version of the protocol that every process of the ring knows. All links use
/// the same formats, so that results do not depend on which worker is old.
std::uint16_t Pipeline::lowest_minor() const {
    std::uint16_t lowest = kProtocolMinor;
    for (const RingStage& stage : ring().stages()) {
        lowest = std::min(lowest, membership_.find(stage.node)->protocol_minor);
    }
    return lowest;
}

void Pipeline::show(PartitionReport plan) {
    partition_ = std::move(plan);
    ports_.pipeline_changed();
}

Status Pipeline::build(PartitionReport plan) {
    MOLINK_ASSIGN_OR_RETURN(Ring ring, make_ring(plan.plan));
    partition_ = std::move(plan);
    std::vector<StageSession*> own = own_sessions(ring);
    router_.open({id_, Epoch(++last_epoch_)}, std::move(ring), std::move(own));
    ports_.begin_epoch(epoch());
    state_ = EngineState::loading;
    const std::int64_t least = config_.partition_model.min_blocks;
    build_.begin(epoch(), this->ring(), static_cast<std::uint64_t>(least), max_kv_blocks());
    stages_.clear();
    for (const StagePlan& stage : partition_.plan.stages) {
        stages_.push_back(
            {NodeState::loading, stage.weight_bytes, 0, 0, std::nullopt, clock_.now_us()});
    }
    for (const LeftOut& left : partition_.plan.left_out) {
        const Member* member = membership_.find(left.node);
        if (member == nullptr) continue;
        log_(LogLevel::warning, "node '{}' is left out: {}", member->info.name, left.reason);
    }
    log_(LogLevel::info, "epoch {}: {} stages are loading", epoch().epoch.value, stages_.size());
    for (std::size_t i = 0; i < stages_.size(); ++i) {
        if (StageSession* session = router_.own(i)) {
            session->assign(make_assign(i));
        } else {
            if (config_.tensors != nullptr) config_.tensors->expect(part_of(i));
            ports_.send(this->ring().stage(i).node, Lane::control, epoch(),
                        Message(make_assign(i)));
        }
    }
    ports_.pipeline_changed();
    return {};
}

void Pipeline::describe(NodeInfo& node) const {
    if (!active()) return;
    for (const LeftOut& left : partition_.plan.left_out) {
        if (left.node == node.id) node.left_out = left.reason;
    }
    const auto stage = ring().find(node.id);
    if (!stage) {
        if (node.left_out.empty()) node.left_out = "the pipeline was built without it";
        return;
    }
    const StageStatus& status = stages_[*stage];
    if (node.state != NodeState::stalled) node.state = status.state;
    node.layers = ring().stage(*stage).layers;
    node.weight_bytes = status.weight_bytes;
    node.loaded_bytes = status.loaded_bytes;
    node.kv_blocks = status.kv_blocks;
}

void Pipeline::fail_stage(std::uint32_t stage, const Status& reason, Failure failure) {
    ports_.stage_failed(ring().stage(stage).node, {epoch(), stage, reason.code(), reason.message()},
                        failure);
}

void Pipeline::on_progress(const LoadProgress& progress) {
    StageStatus& status = stages_[progress.stage_index];
    status.asked_us = clock_.now_us();
    status.loaded_bytes = static_cast<std::int64_t>(progress.done_bytes);
    status.weight_bytes = static_cast<std::int64_t>(progress.total_bytes);
    ports_.pipeline_changed();
}

ModelPart Pipeline::part_of(std::size_t stage) const {
    const RingShape& shape = ring().shape();
    return {ring().stage(stage).layers, shape.has_embedding(stage), shape.has_lm_head(stage)};
}

bool Pipeline::checks_tensors() const {
    return std::any_of(stages_.begin(), stages_.end(),
                       [](const StageStatus& status) { return status.unchecked.has_value(); });
}

void Pipeline::on_loaded(const StageLoaded& loaded) {
    stages_[loaded.stage_index].asked_us.reset();
    if (config_.tensors == nullptr || canary(Canary::tensors_unchecked)) {
        accept_loaded(loaded);
        return;
    }
    if (loaded.tensors.empty()) {
        log_(LogLevel::warning,
             "node '{}' runs a release that does not say what it has loaded; it is not checked",
             membership_.find(ring().stage(loaded.stage_index).node)->info.name);
        accept_loaded(loaded);
        return;
    }
    stages_[loaded.stage_index].unchecked = loaded;
    judge_loaded();
}

/// Returns whether the stage has loaded what the head has, as far as is known. Otherwise it waits,
/// or has failed, which may have ended the epoch.
bool Pipeline::judge_tensors(std::uint32_t stage) {
    const Member& member = *membership_.find(ring().stage(stage).node);
    const TensorVerdict verdict = config_.tensors->judge(
        part_of(stage), stages_[stage].unchecked->tensors, member.info.name, member.on_head());
    switch (verdict.kind) {
        case TensorVerdict::Kind::waits: return false;
        case TensorVerdict::Kind::right: return true;
        case TensorVerdict::Kind::wrong:
            fail_stage(stage, verdict.status, Failure::lasting);
            return false;
        case TensorVerdict::Kind::broken:
            ports_.stage_failed(kHeadNode,
                                {epoch(), stage, verdict.status.code(), verdict.status.message()},
                                Failure::lasting);
            return false;
    }
    return false;
}

void Pipeline::judge_loaded() {
    const PipelineEpoch judged = epoch();
    for (std::uint32_t i = 0; active() && epoch() == judged && i < stages_.size(); ++i) {
        if (!stages_[i].unchecked || !judge_tensors(i)) continue;
        const StageLoaded loaded = *std::exchange(stages_[i].unchecked, std::nullopt);
        accept_loaded(loaded);
    }
}

void Pipeline::accept_loaded(const StageLoaded& loaded) {
    const auto all = build_.on_loaded(loaded);
    if (!all) {
        const RingStage& stage = ring().stage(loaded.stage_index);
        const bool small = all.error().code() == StatusCode::resource_exhausted;
        if (small && !stage.on_head()) {
            ports_.leave_out(stage.node, all.error());
        } else {
            fail_stage(loaded.stage_index, all.error(), Failure::passing);
        }
        return;
    }
    StageStatus& status = stages_[loaded.stage_index];
    status.loaded_bytes = status.weight_bytes = static_cast<std::int64_t>(loaded.weight_bytes);
    ports_.pipeline_changed();
    if (*all) start_stages();
}

void Pipeline::start_stages() {
    // An own stage that cannot start ends the epoch, and there is nothing left to start.
    for (std::uint32_t i = 0; i < ring().size(); ++i) {
        stages_[i].asked_us = clock_.now_us();
        const StageStart start{epoch(), i, build_.kv_blocks()};
        if (StageSession* session = router_.own(i)) {
            const Status started = session->start(start);
            if (!started.ok()) end(started);
        } else {
            ports_.send(ring().stage(i).node, Lane::control, epoch(), Message(start));
        }
    }
}

void Pipeline::on_ready(const StageReady& ready) {
    const auto all = build_.on_ready(ready);
    if (!all) {
        fail_stage(ready.stage_index, all.error(), Failure::passing);
        return;
    }
    StageStatus& status = stages_[ready.stage_index];
    status.state = NodeState::ready;
    status.asked_us.reset();
    status.kv_blocks = static_cast<std::int64_t>(build_.kv_blocks());
    ports_.pipeline_changed();
    if (*all) serve();
}

/// What the node's profile says of its stage. A decode part reads all weights once, whatever its
/// rows, and computes for each; a prefill part does the same.
StageView Pipeline::stage_view(std::size_t stage) const {
    const RingStage& place = ring().stage(stage);
    const NodeProfile& profile = membership_.find(place.node)->device.profile;
    double decode_layers = 0;  // as many as would cost the same if all were like the measured one
    double prefill_layers = 0;
    for (std::int32_t i = place.layers.begin; i < place.layers.end; ++i) {
        const PartitionLayer& layer = config_.partition_model.layers[static_cast<std::size_t>(i)];
        decode_layers += layer.decode_cost;
        prefill_layers += layer.prefill_cost;
    }
    const double prefill_us = profile.prefill_row_layer_us;
    const double decode_us =
        profile.decode_row_layer_us > 0 ? profile.decode_row_layer_us : prefill_us;
    const double lm_head_us = ring().shape().has_lm_head(stage) ? profile.lm_head_row_us : 0;
    StageView view;
    view.layers = place.layers;
    view.hidden = config_.identity.spec.hidden;
    view.row_bytes = config_.partition_model.activation_row_bytes;
    view.cargo = ring().shape().cargo(stage);
    view.decode.base_us =
        decode_layers * std::max(profile.decode_layer_us - decode_us, 0.0) + lm_head_us;
    view.decode.row_us = decode_layers * decode_us;
    view.prefill.base_us =
        prefill_layers * std::max(profile.decode_layer_us - prefill_us, 0.0) + lm_head_us;
    view.prefill.row_us = prefill_layers * prefill_us;
    view.compute_domain = compute_domain(stage);
    view.compute_share = profile.compute_share;
    return view;
}

/// Returns the first stage whose device shares its cores with that of `stage`.
std::int32_t Pipeline::compute_domain(std::size_t stage) const {
    const auto domain = [&](std::size_t i) -> const std::string& {
        return membership_.find(ring().stage(i).node)->cores_domain();
    };
    std::size_t first = 0;
    while (domain(first) != domain(stage)) ++first;
    return static_cast<std::int32_t>(first);
}

std::vector<LinkModel> Pipeline::links() const {
    std::vector<LinkModel> links;
    for (std::size_t i = 0; i < ring().size(); ++i) {
        const RingStage* next = ring().next(i);
        const NodeId to = next == nullptr ? kHeadNode : next->node;
        links.push_back(ports_.link(ring().stage(i).node, to, epoch()));
    }
    links.back().delay_us += head_detour_us();
    return links;
}

/// Returns the delay that the way of a token through the head adds to the last link: to the head
/// when the first stage samples, and from the head to the first stage. It is 0 where stages feed
/// tokens back themselves.
std::int64_t Pipeline::head_detour_us() const {
    const RingStage& first = ring().stage(0);
    if (ring().shape().feeds_back() || first.on_head()) return 0;
    const std::int64_t delay_us = ports_.link(kHeadNode, first.node, epoch()).delay_us;
    return ring().shape().returns() ? 2 * delay_us : delay_us;
}

void Pipeline::refresh_links() {
    if (state_ == EngineState::ready) core_.set_links(links());
}

void Pipeline::check_progress() {
    const PipelineEpoch checked = epoch();
    if (state_ == EngineState::ready) check_parts();
    for (std::uint32_t i = 0; active() && epoch() == checked && i < stages_.size(); ++i) {
        if (!check_loading(i)) return;
    }
}

/// Returns false when the stage, which has loaded nothing for too long, has failed.
bool Pipeline::check_loading(std::uint32_t stage) {
    const auto asked_us = stages_[stage].asked_us;
    if (!asked_us || clock_.now_us() - *asked_us <= limits::kLoadStalledUs) return true;
    const StageStatus& status = stages_[stage];
    fail_stage(
        stage,
        make_error(StatusCode::internal,
                   "it has loaded {} of {} bytes and made no progress for {} s",
                   status.loaded_bytes, status.weight_bytes, limits::kLoadStalledUs / 1'000'000),
        Failure::lasting);
    return false;
}

void Pipeline::check_parts() {
    for (std::size_t i = 0; i < ring().size(); ++i) {
        if (const StageSession* session = router_.own(i)) {
            watch_.note(session->activity(clock_.now_us()));
        }
    }
    if (canary(Canary::stuck_unnoticed)) return;
    const auto overdue = watch_.check(core_.parts_under_way(), clock_.now_us());
    if (!overdue) return;
    if (overdue->stage) {
        fail_stage(static_cast<std::uint32_t>(*overdue->stage),
                   Status(StatusCode::internal, overdue->reason), Failure::lasting);
    } else {
        log_(LogLevel::error, "epoch {}: {}", epoch().epoch.value, overdue->reason);
        end(Status(StatusCode::unavailable, overdue->reason));
    }
}

void Pipeline::note_activities(NodeId process, std::span<const StageActivity> activities) {
    for (const StageActivity& activity : activities) {
        if (state_ != EngineState::ready || !router_.is_current(activity.epoch) ||
            !owns(process, activity.stage_index)) {
            continue;
        }
        watch_.note(activity);
    }
}

void Pipeline::serve() {
    kv_blocks_ = static_cast<std::int64_t>(build_.kv_blocks());
    std::vector<StageView> views;
    for (std::size_t i = 0; i < ring().size(); ++i) views.push_back(stage_view(i));
    state_ = EngineState::ready;
    log_(LogLevel::info, "epoch {}: {} stages serve with {} KV blocks", epoch().epoch.value,
         views.size(), kv_blocks_);
    watch_.begin(ring().size());
    core_.begin_epoch(epoch(), std::move(views), kv_blocks_, ring().shape().feeds_back());
    core_.set_links(links());
    ports_.pipeline_serves();
}

void Pipeline::end(const Status& reason) {
    if (!active()) return;
    tell_end();
    router_.close();
    build_.reset();
    stages_.clear();
    state_ = EngineState::waiting;
    kv_blocks_ = 0;
    core_.end_epoch(reason, clock_.now_us());
    ports_.pipeline_ended(reason);
}

/// Tells the workers of the ring that the epoch is over. What is lost need not be told.
void Pipeline::tell_end() {
    std::vector<NodeId> nodes;
    for (const RingStage& stage : ring().stages()) nodes.push_back(stage.node);
    for (NodeId process : membership_.processes(nodes)) {
        const Member* member = membership_.find(process);
        if (member == nullptr || member->on_head()) continue;
        if (member->protocol_minor < kMinorOfEndEpoch) continue;
        ports_.send(process, Lane::control, epoch(), Message(EndEpoch{epoch()}));
    }
}

void Pipeline::pump() {
    for (const OwnStage& own : own_) own.session->pump(clock_.now_us());
    if (config_.tensors != nullptr) judge_loaded();
}

// ---- Messages of stages ------------------------------------------------------------------------

std::optional<PipelineEpoch> Pipeline::epoch_of(const Message& message) {
    return std::visit(
        [](const auto& item) -> std::optional<PipelineEpoch> {
            using Item = std::decay_t<decltype(item)>;
            constexpr bool stage_message =
                std::is_same_v<Item, LoadProgress> || std::is_same_v<Item, StageLoaded> ||
                std::is_same_v<Item, StageReady> || std::is_same_v<Item, StageFailed>;
            if constexpr (stage_message) {
                return item.epoch;
            } else if constexpr (std::is_same_v<Item, ForwardedPart>) {
                return item.plan.key.epoch;
            } else if constexpr (std::is_same_v<Item, ReturnedPart> ||
                                 std::is_same_v<Item, RetiredPart> ||
                                 std::is_same_v<Item, TokenFeedback>) {
                return item.key.epoch;
            } else {
                return std::nullopt;
            }
        },
        message);
}

void Pipeline::handle(NodeId process, Message message) {
    const bool current = router_.is_current(epoch_of(message).value_or(PipelineEpoch()));
    if (!current && !(canary(Canary::stale_epoch) && active())) return;
    if (const auto* retired = std::get_if<RetiredPart>(&message)) {
        on_retired(process, *retired);
    } else if (!current) {
        return;
    } else if (auto* forwarded = std::get_if<ForwardedPart>(&message)) {
        on_input(process, std::move(*forwarded));
    } else if (auto* returned = std::get_if<ReturnedPart>(&message)) {
        on_input(process, std::move(*returned));
    } else if (std::holds_alternative<TokenFeedback>(message)) {
        // A head with the first stage needs no feedback, so no ring sends any to it.
        ports_.lose_node(process, "it sent token feedback, which the head never needs");
    } else {
        on_stage_message(process, message);
    }
}

/// Returns whether `stage` is one of the ring and held by a device of the process.
bool Pipeline::owns(NodeId process, std::optional<std::size_t> stage) const {
    return stage && *stage < ring().size() &&
           membership_.same_process(ring().stage(*stage).node, process);
}

void Pipeline::on_stage_message(NodeId process, const Message& message) {
    const auto check = [&](const auto& item) {
        const bool own = owns(process, item.stage_index);
        if (!own) {
            ports_.lose_node(process, fmt::format("it sent a {} message of stage {}, which it does "
                                                  "not hold",
                                                  message_name(message), item.stage_index));
        }
        return own;
    };
    if (const auto* progress = std::get_if<LoadProgress>(&message)) {
        if (check(*progress)) on_progress(*progress);
    } else if (const auto* loaded = std::get_if<StageLoaded>(&message)) {
        if (check(*loaded)) on_loaded(*loaded);
    } else if (const auto* ready = std::get_if<StageReady>(&message)) {
        if (check(*ready)) on_ready(*ready);
    } else {
        const auto& failed = std::get<StageFailed>(message);
        if (check(failed)) on_failed(failed);
    }
}

/// Files that are damaged stay so. Whatever else fails, a bad part from another stage among it, may
/// pass.
void Pipeline::on_failed(const StageFailed& failed) {
    const bool loads = stages_[failed.stage_index].state == NodeState::loading;
    const bool lasting = loads && failed.code == StatusCode::data_loss;
    ports_.stage_failed(ring().stage(failed.stage_index).node, failed,
                        lasting ? Failure::lasting : Failure::passing);
}

std::optional<NodeId> Pipeline::node_of(const StageLinkReport& report) const {
    if (!router_.is_current(report.epoch) || report.stage_index >= ring().size()) return {};
    return ring().stage(report.stage_index).node;
}

void Pipeline::on_input(NodeId process, StageInput input) {
    const std::size_t stage = stage_of(input, ring().shape());
    if (router_.own(stage) == nullptr || !owns(process, ring().shape().previous(stage))) {
        ports_.lose_node(process, "it sent a part, but its stage is not the one before the head's");
        return;
    }
    const Status delivered = router_.deliver(std::move(input));
    if (!delivered.ok()) ports_.lose_node(process, delivered.message());
}

void Pipeline::on_retired(NodeId process, const RetiredPart& retired) {
    if (state_ != EngineState::ready && !canary(Canary::stale_epoch)) return;
    if (!owns(process, ring().shape().lm_head_stage())) {
        ports_.lose_node(process, "it retired a part, but does not hold the LM head");
        return;
    }
    const Status accepted = core_.on_retired(retired, clock_.now_us());
    if (accepted.ok()) return;
    if (ring().stage(ring().shape().lm_head_stage()).on_head()) {
        end(accepted);
    } else {
        ports_.lose_node(process, accepted.message());
    }
}

// ---- The head's own stages ---------------------------------------------------------------------

void Pipeline::stage_progress(const LoadProgress& progress) {
    handle(kHeadNode, Message(progress));
}
void Pipeline::stage_loaded(const StageLoaded& loaded) {
    handle(kHeadNode, Message(loaded));
}
void Pipeline::stage_ready(const StageReady& ready) {
    handle(kHeadNode, Message(ready));
}
void Pipeline::stage_failed(const StageFailed& failed) {
    handle(kHeadNode, Message(failed));
}
void Pipeline::stage_forward(ForwardedPart part) {
    router_.forward(std::move(part));
}
void Pipeline::stage_return(ReturnedPart part) {
    router_.forward(std::move(part));
}
void Pipeline::stage_retire(RetiredPart part) {
    handle(kHeadNode, Message(std::move(part)));
}
void Pipeline::stage_feedback(TokenFeedback tokens) {
    router_.feed_back(std::move(tokens));
}

}  // namespace molink
