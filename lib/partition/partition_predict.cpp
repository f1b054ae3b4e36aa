// Completes a plan with everything that follows from its nodes and layers, and predicts its speed.
// Decode: R sequences, as many as KV memory permits, run as N micro-batches of b = ceil(R / N)
// rows. Every row comes back once per cycle of T = max(L(b), N x time of the slowest resource),
// where L(b) is the time of one micro-batch round the ring. N is the smallest number within 2 % of
// the best T. Prompt: its slices follow each other through stages and links. The first slice takes
// the time of all of them, and each further slice adds the time of the slowest one.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "partition/split_choice.h"
#include "partition/stage_costs.h"

namespace molink {

std::string_view partition_objective_name(PartitionObjective objective) {
    return objective == PartitionObjective::latency ? "latency" : "throughput";
}

Result<PartitionObjective> parse_partition_objective(std::string_view name) {
    for (auto objective : {PartitionObjective::throughput, PartitionObjective::latency}) {
        if (name == partition_objective_name(objective)) return objective;
    }
    return invalid_argument("objective '{}'; throughput and latency are permitted", name);
}

std::string_view lm_head_name(LmHead place) {
    return place == LmHead::first ? "first" : place == LmHead::last ? "last" : "auto";
}

Result<LmHead> parse_lm_head(std::string_view name) {
    for (auto place : {LmHead::automatic, LmHead::last, LmHead::first}) {
        if (name == lm_head_name(place)) return place;
    }
    return invalid_argument("LM head '{}'; auto, last and first are permitted", name);
}

std::int32_t planned_rows(const PartitionInput& input) {
    const auto nodes = std::max<std::int32_t>(static_cast<std::int32_t>(input.nodes.size()), 1);
    return std::max((input.workload.running + nodes - 1) / nodes, 1);
}

namespace {

/// Times of the stages and links of the ring for one number of rows.
struct RingTimes {
    double sum_us = 0;        ///< of all stages and links, with propagation delays
    double slowest_us = 0;    ///< of the slowest stage or link
    std::size_t slowest = 0;  ///< its stage, or the stage that sends on this link
    bool slowest_is_link = false;
};

class Predictor {
public:
    Predictor(const PartitionInput& input, PartitionPlan& plan)
        : input_(input), plan_(plan), costs_(input), links_(input) {}

    /// Finds the nodes of the stages. Call it before fill().
    Status locate() {
        std::unordered_map<NodeId, std::size_t> index;
        for (std::size_t i = 0; i < input_.nodes.size(); ++i) index[input_.nodes[i].id] = i;
        for (const StagePlan& stage : plan_.stages) {
            const auto found = index.find(stage.node);
            if (found == index.end()) {
                return make_error(StatusCode::internal,
                                  "partition gives layers {}-{} to node {}, which is unknown",
                                  stage.layers.begin, stage.layers.end - 1, stage.node.value);
            }
            const LayerRange& layers = stage.layers;
            if (layers.begin < 0 || layers.end < layers.begin ||
                layers.end > input_.model.layer_count()) {
                return make_error(StatusCode::internal,
                                  "partition gives layers {}-{} to '{}'; the model has 0-{}",
                                  layers.begin, layers.end - 1, input_.nodes[found->second].name,
                                  input_.model.layer_count() - 1);
            }
            nodes_.push_back(found->second);
        }
        if (nodes_.empty()) return make_error(StatusCode::internal, "partition has no stages");
        ring_ = planned_ring(input_, nodes_.size());
        return {};
    }

    void fill() {
        fill_memory();
        predict_decode();
        predict_prompt();
        fill_stages();
        name_limit();
        list_left_out();
    }

private:
    /// Returns the link that stage i sends on.
    const LinkModel& link(std::size_t i) const {
        const auto next = ring_.next(i);
        return next ? links_.between(nodes_[i], nodes_[*next]) : links_.to_head(nodes_[i]);
    }
    /// Returns the time to put `rows` rows on the link of stage i, us. Of a slice, only one row
    /// goes back to an LM head on the first stage.
    double link_time(std::size_t i, double rows, bool slice) const {
        const PartitionModel& model = input_.model;
        const LinkCargo cargo = ring_.cargo(i);
        if (cargo == LinkCargo::sampled_rows && slice) rows = 1;
        return link_us(link(i), rows * static_cast<double>(cargo == LinkCargo::tokens
                                                               ? model.token_row_bytes
                                                               : model.activation_row_bytes));
    }
    double token_time(const LinkModel& link, double rows) const {
        return link_us(link, rows * static_cast<double>(input_.model.token_row_bytes)) +
               static_cast<double>(link.delay_us);
    }
    double stage_time(std::size_t i, double rows, bool slice) const {
        const LayerRange layers = plan_.stages[i].layers;
        return slice ? costs_.slice_us(nodes_[i], layers, rows)
                     : costs_.decode_us(nodes_[i], layers, rows);
    }

    RingTimes ring_times(double rows, bool slice) const {
        RingTimes times;
        times.sum_us = token_time(links_.from_head(nodes_.front()), rows);
        if (ring_.returns()) {
            const std::size_t sampler = nodes_[ring_.lm_head_stage()];
            times.sum_us += token_time(links_.to_head(sampler), rows);
        }
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            const double stage = stage_time(i, rows, slice);
            const double sending = link_time(i, rows, slice);
            times.sum_us += stage + sending + static_cast<double>(link(i).delay_us);
            for (bool is_link : {false, true}) {
                const double time = is_link ? sending : stage;
                if (time <= times.slowest_us) continue;
                times.slowest_us = time;
                times.slowest = i;
                times.slowest_is_link = is_link;
            }
        }
        return times;
    }

    void fill_memory() {
        plan_.kv_blocks = std::numeric_limits<std::int64_t>::max();
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            StagePlan& stage = plan_.stages[i];
            stage.has_embedding = stage.layers.begin == 0;
            stage.has_lm_head = costs_.has_lm_head(stage.layers);
            const StageMemory memory = costs_.memory(nodes_[i], stage.layers);
            stage.weight_bytes = memory.weight_bytes;
            stage.kv_blocks = kv_capacity(memory);
            stage.kv_block_bytes = memory.kv_block_bytes;
            stage.state_bytes = state_bytes(memory);
            if (stage.kv_blocks >= plan_.kv_blocks) continue;
            plan_.kv_blocks = stage.kv_blocks;
            smallest_ = i;
        }
    }

    void predict_decode() {
        PartitionPrediction& predicted = plan_.predicted;
        const PartitionWorkload& work = input_.workload;
        const std::int64_t positions = std::int64_t{work.prompt_tokens} + work.output_tokens;
        const std::int64_t each = std::max<std::int64_t>(
            blocks_for(positions, std::max(input_.model.block_tokens, 1)), 1);
        const std::int64_t room = std::max<std::int64_t>(plan_.kv_blocks / each, 1);
        predicted.running =
            static_cast<std::int32_t>(std::min<std::int64_t>(std::max(work.running, 1), room));
        const auto cycle = [&](std::int32_t batches) {
            const RingTimes times = ring_times((predicted.running + batches - 1) / batches, false);
            return std::max(times.sum_us, batches * times.slowest_us);
        };
        double best = cycle(1);
        for (std::int32_t n = 2; n <= predicted.running; ++n) best = std::min(best, cycle(n));
        predicted.micro_batches = 1;
        while (predicted.micro_batches < predicted.running &&
               cycle(predicted.micro_batches) > best * kPlanTolerance) {
            ++predicted.micro_batches;
        }
        predicted.batch_rows =
            (predicted.running + predicted.micro_batches - 1) / predicted.micro_batches;
        predicted.tpot_us = cycle(predicted.micro_batches);
        if (predicted.tpot_us > 0)
            predicted.tokens_per_s = predicted.running / predicted.tpot_us * 1e6;
        predicted.ring_us = ring_times(1, false).sum_us;
        plan_.slowest_us = slowest_between();
    }

    /// Returns the time of the slowest stage or link as the searches count it, us.
    double slowest_between() const {
        const double rows = planned_rows(input_);
        double slowest = 0;
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            slowest = std::max(slowest, costs_.work_us(nodes_[i], plan_.stages[i].layers, rows));
            slowest = std::max(slowest, link_work_us(input_, link(i), rows, ring_.cargo(i)));
        }
        return slowest;
    }

    void predict_prompt() {
        const PartitionWorkload& work = input_.workload;
        const std::int32_t prompt = std::max(work.prompt_tokens, 1);
        const std::int32_t slices =
            (prompt + std::max(work.slice_tokens, 1) - 1) / std::max(work.slice_tokens, 1);
        slice_rows_ = std::min(prompt, std::max(work.slice_tokens, 1));
        const RingTimes first = ring_times(slice_rows_, true);
        plan_.predicted.ttft_us = first.sum_us + (slices - 1) * first.slowest_us;
    }

    void fill_stages() {
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            StagePlan& stage = plan_.stages[i];
            stage.decode_us = stage_time(i, 1, false);
            stage.batch_us = stage_time(i, plan_.predicted.batch_rows, false);
            stage.slice_us = stage_time(i, slice_rows_, true);
            stage.link_us = link_time(i, 1, false);
            stage.link_batch_us = link_time(i, plan_.predicted.batch_rows, false);
            stage.link_slice_us = link_time(i, slice_rows_, true);
            stage.link_delay_us = link(i).delay_us;
        }
    }

    void name_limit() {
        PartitionPrediction& predicted = plan_.predicted;
        const auto name = [&](std::size_t i) { return input_.nodes[nodes_[i]].name; };
        const RingTimes times = ring_times(predicted.batch_rows, false);
        predicted.limit_stage = times.slowest;
        if (predicted.running < input_.workload.running) {
            predicted.limit = PartitionLimit::kv;
            predicted.limit_stage = smallest_;
            predicted.limit_text = fmt::format(
                "KV memory of '{}': {} blocks have room for {} of {} sequences", name(smallest_),
                plan_.kv_blocks, predicted.running, input_.workload.running);
        } else if (times.sum_us > predicted.micro_batches * times.slowest_us) {
            predicted.limit = PartitionLimit::latency;
            predicted.limit_text = fmt::format(
                "time round the ring: {} running sequences keep no stage and no link busy",
                predicted.running);
        } else if (times.slowest_is_link) {
            predicted.limit = PartitionLimit::link;
            const auto next = ring_.next(times.slowest);
            const std::string to = next ? name(*next) : "head";
            predicted.limit_text = fmt::format("link '{}' -> '{}'", name(times.slowest), to);
        } else {
            predicted.limit = PartitionLimit::stage;
            predicted.limit_text = fmt::format("stage '{}'", name(times.slowest));
        }
    }

    void list_left_out() {
        std::unordered_set<NodeId> named;
        for (const StagePlan& stage : plan_.stages) named.insert(stage.node);
        for (const LeftOut& left : plan_.left_out) named.insert(left.node);
        for (const PartitionNode& node : input_.nodes) {
            if (!named.contains(node.id)) {
                plan_.left_out.push_back({node.id, "the partitioner gives it no layers"});
            }
        }
    }

    const PartitionInput& input_;
    PartitionPlan& plan_;
    StageCosts costs_;
    LinkTable links_;
    RingShape ring_;
    std::vector<std::size_t> nodes_;  // [stages], indices into the nodes of the input
    std::size_t smallest_ = 0;
    double slice_rows_ = 1;
};

}  // namespace

Status complete_partition(const PartitionInput& input, PartitionPlan& plan) {
    plan.lm_head_first = plan.lm_head_first && plan.stages.size() > 1;
    const PartitionInput placed = with_lm_head(input, plan.lm_head_first);
    Predictor predictor(placed, plan);
    MOLINK_RETURN_IF_ERROR(predictor.locate());
    predictor.fill();
    return {};
}

}  // namespace molink
