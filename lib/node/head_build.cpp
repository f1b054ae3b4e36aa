// Building a pipeline and taking it down. A pipeline lives for one epoch: nodes selected by the
// cluster policy, layers split by the partitioner (and checked), stages loaded, KV blocks agreed,
// served. When a node is lost the epoch ends, every request it touched ends with a clear error, and
// the head waits for what is missing.
#include <algorithm>

#include "base/error.h"
#include "base/limits.h"
#include "node/head_node.h"
#include "node/link_metrics.h"

namespace molink {

std::int64_t HeadNode::memory_share(const Member& member) const {
    if (member.memory_own) return member.offered_bytes;
    std::int64_t smallest = member.offered_bytes;
    std::int64_t sharers = 0;
    for (const Member& other : members_) {
        if (other.memory_own || other.info.host_id != member.info.host_id) continue;
        smallest = std::min(smallest, other.offered_bytes);
        ++sharers;
    }
    return smallest / std::max<std::int64_t>(sharers, 1);
}

Result<PartitionInput> HeadNode::partition_input(const std::vector<NodeId>& order) const {
    PartitionInput input;
    input.model = config_.partition_model;
    input.workload = config_.workload;
    input.objective = config_.objective;
    input.lm_head = config_.lm_head;
    input.fixed_order = policies_.cluster->fixed_order();
    input.pin_first = order.front() == kHead;
    for (NodeId id : order) {
        const Member* member = find_member(id);
        if (member == nullptr) {
            return make_error(StatusCode::internal, "cluster policy '{}' selects node {}, unknown",
                              policies_.cluster->name(), id.value);
        }
        PartitionNode node;
        node.id = id;
        node.name = member->info.name;
        node.memory_bytes = memory_share(*member);
        node.decode_layer_us = member->profile.decode_layer_us;
        node.prefill_row_layer_us = member->profile.prefill_row_layer_us;
        node.head_row_us = member->profile.lm_head_row_us;
        node.decode_row_layer_us = member->profile.decode_row_layer_us;
        node.fixed = member->info.fixed_layers;
        input.nodes.push_back(std::move(node));
    }
    input.links = known_links(order);
    return input;
}

Result<PartitionPlan> HeadNode::plan_partition(const PartitionInput& input) {
    MOLINK_ASSIGN_OR_RETURN(PartitionPlan plan, policies_.partitioner->partition(input));
    MOLINK_RETURN_IF_ERROR(complete_partition(input, plan));
    MOLINK_RETURN_IF_ERROR(check_partition(input, plan));
    return plan;
}

void HeadNode::note_left_out(const PartitionPlan& plan) {
    for (Member& member : members_) member.info.left_out.clear();
    for (const LeftOut& left : plan.left_out) {
        Member* member = find_member(left.node);
        if (member == nullptr) continue;
        member->info.left_out = left.reason;
        log_(LogLevel::warning, "left out '{}': {}", member->info.name, left.reason);
    }
}

Result<Ring> HeadNode::make_ring(const PartitionPlan& plan) const {
    std::vector<RingStage> stages;
    for (const StagePlan& stage : plan.stages) {
        stages.push_back({stage.node, find_member(stage.node)->info.address, stage.layers});
    }
    // A head with the first stage knows every token when it launches.
    const bool feeds_back = config_.direct_feedback && plan.stages.front().node != kHead;
    return Ring::make(std::move(stages), plan.lm_head_first, feeds_back);
}

std::uint64_t HeadNode::max_kv_blocks() const {
    const std::int64_t per_sequence =
        (config_.max_context + config_.identity.block_tokens - 1) / config_.identity.block_tokens;
    return static_cast<std::uint64_t>(per_sequence * config_.max_running);
}

Assign HeadNode::make_assign(std::size_t stage) const {
    Assign assign;
    assign.epoch = epoch_;
    assign.ring = ring_;
    assign.stage_index = static_cast<std::uint32_t>(stage);
    assign.activation_type = config_.wire_type;
    assign.max_rows = config_.max_step_tokens;
    assign.max_sequences = config_.max_running;
    assign.max_context = config_.max_context;
    assign.memory_bytes =
        static_cast<std::uint64_t>(memory_share(*find_member(ring_.stage(stage).node)));
    assign.max_kv_blocks = max_kv_blocks();
    return assign;
}

void HeadNode::try_build() {
    if (!rebuild_ || active() || local_stage_failed_) return;
    const std::vector<NodeId> order = policies_.cluster->select(member_infos());
    if (survey_links(order)) return;
    rebuild_ = false;
    if (order.empty()) return;
    auto input = partition_input(order);
    auto plan = input ? plan_partition(*input) : Result<PartitionPlan>(input.error());
    partition_ = {};
    if (!plan) {
        build_error_ = plan.error();
        last_error_ = plan.error().message();
        log_(LogLevel::error, "{}", last_error_);
        changed();
        return;
    }
    build_error_ = Status();
    note_left_out(*plan);
    partition_ = {std::move(*input), *plan};
    if (config_.plan_only) {
        changed();
        return;
    }
    begin_build(*plan);
}

void HeadNode::begin_build(const PartitionPlan& plan) {
    auto ring = make_ring(plan);
    if (!ring) {  // check_partition permits nothing that cannot be a ring
        build_error_ = ring.error();
        last_error_ = ring.error().message();
        log_(LogLevel::error, "{}", last_error_);
        changed();
        return;
    }
    ++epoch_.epoch.value;
    ring_ = std::move(*ring);
    for (const Member& member : members_) {
        if (member.info.id != kHead) hub_->set_epoch(member.link, epoch_);
    }
    state_ = EngineState::loading;
    build_.begin(epoch_, ring_, max_kv_blocks());
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
        Member* member = find_member(plan.stages[i].node);
        member->info.state = NodeState::loading;
        member->info.layers = plan.stages[i].layers;
        member->info.weight_bytes = plan.stages[i].weight_bytes;
        member->info.loaded_bytes = 0;
        member->info.kv_blocks = 0;
        if (member->info.id == kHead) {
            session_->assign(make_assign(i));
        } else {
            send(member->info.id, Lane::control, Message(make_assign(i)));
        }
    }
    log_(LogLevel::info, "epoch {}: {} stages are loading", epoch_.epoch.value, ring_.size());
    changed();
}

void HeadNode::on_progress(NodeId node, const LoadProgress& progress) {
    Member* member = find_member(node);
    if (member == nullptr || progress.epoch != epoch_) return;
    member->info.loaded_bytes = static_cast<std::int64_t>(progress.done_bytes);
    member->info.weight_bytes = static_cast<std::int64_t>(progress.total_bytes);
    changed();
}

void HeadNode::on_loaded(NodeId node, const StageLoaded& loaded) {
    if (!active() || loaded.epoch != epoch_) return;
    auto all = build_.on_loaded(node, loaded);
    if (!all) {
        on_failed(node, {epoch_, all.error().code(), all.error().message()});
        return;
    }
    Member* member = find_member(node);
    member->info.weight_bytes = static_cast<std::int64_t>(loaded.weight_bytes);
    member->info.loaded_bytes = member->info.weight_bytes;
    changed();
    if (!*all) return;
    const StageStart start{epoch_, build_.kv_blocks()};
    const Ring ring = ring_;
    for (const RingStage& stage : ring.stages()) {
        if (stage.node != kHead) {
            send(stage.node, Lane::control, start);
            continue;
        }
        const Status started = session_->start(start);
        if (!started.ok()) end_pipeline(started);
    }
}

void HeadNode::on_ready(NodeId node, const StageReady& ready) {
    if (!active() || ready.epoch != epoch_) return;
    auto all = build_.on_ready(node, ready);
    if (!all) {
        on_failed(node, {epoch_, all.error().code(), all.error().message()});
        return;
    }
    Member* member = find_member(node);
    member->info.state = NodeState::ready;
    member->info.kv_blocks = static_cast<std::int64_t>(build_.kv_blocks());
    changed();
    if (*all) serve();
}

/// What the node's profile says of its stage. A decode part reads all weights once, whatever its
/// rows, and computes for each; a prefill part does the same.
StageView HeadNode::stage_view(std::size_t stage) const {
    const RingStage& place = ring_.stage(stage);
    const NodeProfile& profile = find_member(place.node)->profile;
    const double layers = place.layers.size();
    const double prefill_us = profile.prefill_row_layer_us;
    const double decode_us =
        profile.decode_row_layer_us > 0 ? profile.decode_row_layer_us : prefill_us;
    const double lm_head_us = ring_.shape().has_lm_head(stage) ? profile.lm_head_row_us : 0;
    StageView view;
    view.layers = place.layers;
    view.hidden = config_.identity.spec.hidden;
    view.row_bytes = config_.partition_model.activation_row_bytes;
    view.cargo = ring_.shape().cargo(stage);
    view.decode.base_us = layers * std::max(profile.decode_layer_us - decode_us, 0.0) + lm_head_us;
    view.decode.row_us = layers * decode_us;
    view.prefill.base_us =
        layers * std::max(profile.decode_layer_us - prefill_us, 0.0) + lm_head_us;
    view.prefill.row_us = layers * prefill_us;
    return view;
}

/// The link behind each stage, as the node that sends on it measured it.
std::vector<LinkModel> HeadNode::stage_links() const {
    std::vector<LinkModel> links;
    for (const RingStage& stage : ring_.stages()) {
        const Member* member = find_member(stage.node);
        LinkModel link;
        if (stage.node != kHead) {
            const bool current = member->next_link && member->next_link->epoch == epoch_;
            if (current) link = link_model(member->next_link->link);
        } else if (const NodeId next = ring_.next_node(kHead); next != kHead) {
            link = hub_->stats(find_member(next)->link).link;
        }
        links.push_back(link);
    }
    return links;
}

void HeadNode::serve() {
    kv_blocks_ = static_cast<std::int64_t>(build_.kv_blocks());
    std::vector<StageView> stages;
    for (std::size_t i = 0; i < ring_.size(); ++i) stages.push_back(stage_view(i));
    state_ = EngineState::ready;
    last_error_.clear();
    log_(LogLevel::info, "epoch {}: {} stages serve with {} KV blocks", epoch_.epoch.value,
         stages.size(), kv_blocks_);
    core_->begin_epoch(epoch_, std::move(stages), kv_blocks_, ring_.shape().feeds_back());
    core_->set_links(stage_links());
    changed();
}

void HeadNode::on_failed(NodeId node, const StageFailed& failed) {
    if (!active() || failed.epoch != epoch_) return;
    if (node != kHead) {
        lose_node(node, "its stage failed: " + failed.reason);
        if (state_ == EngineState::waiting && failed.code == StatusCode::resource_exhausted) {
            build_error_ = Status(failed.code, last_error_);
            changed();
        }
        return;
    }
    local_stage_failed_ = true;
    build_error_ = Status(failed.code, "the head's own stage failed: " + failed.reason);
    end_pipeline(build_error_);
}

void HeadNode::end_pipeline(const Status& reason) {
    if (!active()) return;
    build_.reset();
    ring_ = Ring();
    state_ = EngineState::waiting;
    kv_blocks_ = 0;
    last_error_ = reason.message();
    for (Member& member : members_) {
        member.info.state = NodeState::joined;
        member.info.layers = {};
        member.info.left_out.clear();
        member.info.weight_bytes = member.info.loaded_bytes = member.info.kv_blocks = 0;
    }
    core_->end_epoch(reason, clock_.now_us());
    rebuild_ = true;
    changed();
}

}  // namespace molink
