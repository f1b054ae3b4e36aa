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
        node.head_row_us = member->profile.head_row_us;
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

std::vector<Assign> HeadNode::make_assigns(const PartitionPlan& plan) const {
    const std::int64_t per_sequence =
        (config_.max_context + config_.identity.block_tokens - 1) / config_.identity.block_tokens;
    const bool direct = config_.direct_feedback && plan.stages.front().node != kHead;
    const bool ring = direct || plan.stages.front().has_head;
    std::vector<Assign> assigns;
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
        const StagePlan& stage = plan.stages[i];
        Assign assign;
        assign.epoch = epoch_;
        assign.stage_index = static_cast<std::int32_t>(i);
        assign.stage_count = static_cast<std::int32_t>(plan.stages.size());
        assign.layers = stage.layers;
        assign.has_embedding = stage.has_embedding;
        assign.has_head = stage.has_head;
        if (i + 1 < plan.stages.size()) {
            assign.next_address = find_member(plan.stages[i + 1].node)->info.address;
        }
        assign.activation_type = config_.wire_type;
        assign.max_rows = config_.max_step_tokens;
        assign.max_sequences = config_.max_running;
        assign.max_context = config_.max_context;
        assign.memory_bytes = static_cast<std::uint64_t>(memory_share(*find_member(stage.node)));
        assign.max_kv_blocks = static_cast<std::uint64_t>(per_sequence * config_.max_running);
        assign.direct_feedback = direct && (i == 0 || i + 1 == plan.stages.size());
        if (ring && i > 0 && assign.last_stage()) {
            assign.next_address = find_member(plan.stages.front().node)->info.address;
        }
        assigns.push_back(std::move(assign));
    }
    return assigns;
}

void HeadNode::try_build() {
    if (!rebuild_ || build_.active() || local_stage_failed_) return;
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
    ++epoch_.value;
    hub_->set_epoch(epoch_);
    state_ = EngineState::loading;
    std::vector<Assign> assigns = make_assigns(plan);
    build_.begin(epoch_, plan, assigns);
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
        Member* member = find_member(plan.stages[i].node);
        member->info.state = NodeState::loading;
        member->info.layers = plan.stages[i].layers;
        member->info.weight_bytes = plan.stages[i].weight_bytes;
        member->info.loaded_bytes = 0;
        member->info.kv_blocks = 0;
        if (member->info.id == kHead) {
            session_->assign(assigns[i]);
        } else {
            send(member->info.id, Lane::control, Message(assigns[i]));
        }
    }
    log_(LogLevel::info, "epoch {}: {} stages are loading", epoch_.value, assigns.size());
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
    if (!build_.active() || loaded.epoch != epoch_) return;
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
    const PipelineBuild stages = build_;
    for (const StageRecord& stage : stages.stages()) {
        if (stage.plan.node != kHead) {
            send(stage.plan.node, Lane::control, start);
            continue;
        }
        const Status started = session_->start(start);
        if (!started.ok()) end_pipeline(started);
    }
}

void HeadNode::on_ready(NodeId node, const StageReady& ready) {
    if (!build_.active() || ready.epoch != epoch_) return;
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
StageView HeadNode::stage_view(const StageRecord& stage) const {
    const NodeProfile& profile = find_member(stage.plan.node)->profile;
    const double layers = stage.plan.layers.size();
    const double prefill_us = profile.prefill_row_layer_us;
    const double decode_us =
        profile.decode_row_layer_us > 0 ? profile.decode_row_layer_us : prefill_us;
    const double head_us = stage.plan.has_head ? profile.head_row_us : 0;
    StageView view;
    view.layers = stage.plan.layers;
    view.hidden = config_.identity.spec.hidden;
    view.row_bytes = config_.partition_model.activation_row_bytes;
    const bool last = stage.plan.layers.end == config_.partition_model.layers;
    if (last && !stage.plan.has_head) view.return_row_bytes = view.row_bytes;
    view.decode.base_us = layers * std::max(profile.decode_layer_us - decode_us, 0.0) + head_us;
    view.decode.row_us = layers * decode_us;
    view.prefill.base_us = layers * std::max(profile.decode_layer_us - prefill_us, 0.0) + head_us;
    view.prefill.row_us = layers * prefill_us;
    return view;
}

/// The link behind each stage, as the node that sends on it measured it.
std::vector<LinkModel> HeadNode::stage_links() const {
    std::vector<LinkModel> links;
    for (std::size_t i = 0; i < build_.stages().size(); ++i) {
        const Member* member = find_member(build_.stages()[i].plan.node);
        LinkModel link;
        if (member->info.id != kHead) {
            if (member->next_link) link = link_model(*member->next_link);
        } else if (const NodeId next = build_.next_of(kHead); next != kHead) {
            link = hub_->stats(find_member(next)->link).link;
        }
        links.push_back(link);
    }
    return links;
}

void HeadNode::serve() {
    kv_blocks_ = static_cast<std::int64_t>(build_.kv_blocks());
    std::vector<StageView> stages;
    for (const StageRecord& stage : build_.stages()) stages.push_back(stage_view(stage));
    state_ = EngineState::ready;
    last_error_.clear();
    log_(LogLevel::info, "epoch {}: {} stages serve with {} KV blocks", epoch_.value, stages.size(),
         kv_blocks_);
    core_->begin_epoch(epoch_, std::move(stages), kv_blocks_,
                       build_.stages().front().assign.direct_feedback);
    core_->set_links(stage_links());
    changed();
}

void HeadNode::on_failed(NodeId node, const StageFailed& failed) {
    if (!build_.active() || failed.epoch != epoch_) return;
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
    if (!build_.active()) return;
    build_.reset();
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
