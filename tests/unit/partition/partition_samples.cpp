// See partition_samples.h. The costs are computed here a second time, independent of the library,
// so that tests can compare the two.
#include "partition_samples.h"

#include <algorithm>
#include <limits>

#include "base/random.h"

namespace molink::test {
namespace {

LinkModel random_link(Random& random) {
    LinkModel link;
    if (random.below(4) > 0) link.bytes_per_s = 1e5 + static_cast<double>(random.below(1'000'000));
    if (random.below(2) > 0) link.delay_us = static_cast<std::int64_t>(random.below(300));
    return link;
}

void add_links(PartitionInput& input, Random& random) {
    for (const PartitionNode& from : input.nodes) {
        for (const PartitionNode& to : input.nodes) {
            if (from.id != to.id && random.below(8) > 0) {
                input.links.push_back({from.id, to.id, random_link(random)});
            }
        }
        if (from.id != NodeId(0)) {
            input.links.push_back({from.id, NodeId(0), random_link(random)});
            input.links.push_back({NodeId(0), from.id, random_link(random)});
        }
    }
}

class PlanList {
public:
    explicit PlanList(const PartitionInput& input)
        : input_(input), used_(input.nodes.size(), false) {}

    std::vector<PlanWorth> run() {
        extend(0);
        return std::move(plans_);
    }

private:
    struct Stage {
        std::size_t node;
        LayerRange layers;
    };

    LinkModel link(NodeId from, NodeId to) const {
        LinkModel found;
        for (const PartitionLink& link : input_.links) {
            if (from != to && link.from == from && link.to == to) found = link.model;
        }
        return found;
    }
    static double enter(const LinkModel& link, double bytes) {
        return link.bytes_per_s > 0 ? bytes * 1e6 / link.bytes_per_s : 0;
    }

    void extend(std::int32_t placed) {
        if (placed == input_.model.layer_count()) {
            finish();
            return;
        }
        for (std::size_t node = 0; node < input_.nodes.size(); ++node) {
            if (used_[node]) continue;
            if (stages_.empty() && input_.pin_first && node != 0) continue;
            if (!stages_.empty() && input_.fixed_order && node < stages_.back().node) continue;
            used_[node] = true;
            for (std::int32_t end = placed + 1; end <= input_.model.layer_count(); ++end) {
                const auto& fixed = input_.nodes[node].fixed;
                if (fixed && (fixed->begin != placed || fixed->end != end)) continue;
                stages_.push_back({node, {placed, end}});
                extend(end);
                stages_.pop_back();
            }
            used_[node] = false;
        }
    }

    void finish() {
        const LmHead asked = input_.lm_head;
        const bool tied = input_.model.tied_embeddings;
        if (asked != LmHead::first || stages_.size() == 1) add(false);
        if (stages_.size() > 1 && tied && asked != LmHead::last) add(true);
    }

    void add(bool lm_head_first) {
        for (std::size_t node = 0; node < used_.size(); ++node) {
            if (!used_[node] && (input_.keep_all || input_.nodes[node].fixed)) return;
        }
        PlanWorth worth;
        worth.nodes = stages_.size();
        worth.kv_blocks = std::numeric_limits<std::int64_t>::max();
        for (std::size_t i = 0; i < stages_.size(); ++i) {
            const bool last = i + 1 == stages_.size();
            if (!add_stage(stages_[i], lm_head_first ? i == 0 : last, worth)) return;
            if (!last || lm_head_first) add_link(i, worth);
        }
        const auto token_bytes = static_cast<double>(input_.model.token_row_bytes);
        const Stage& leaver = lm_head_first ? stages_.front() : stages_.back();
        for (const LinkModel& ends : {link(NodeId(0), input_.nodes[stages_.front().node].id),
                                      link(input_.nodes[leaver.node].id, NodeId(0))}) {
            worth.ring_us += enter(ends, token_bytes) + static_cast<double>(ends.delay_us);
        }
        plans_.push_back(worth);
    }

    double rows() const {
        const auto nodes = static_cast<std::int32_t>(used_.size());
        return (input_.workload.running + nodes - 1) / nodes;
    }
    double prompt_rows() const {
        return rows() * input_.workload.prompt_tokens / input_.workload.output_tokens;
    }

    /// Returns false when the stage does not fit.
    bool add_stage(const Stage& stage, bool lm_head, PlanWorth& worth) const {
        const PartitionModel& model = input_.model;
        const PartitionNode& node = input_.nodes[stage.node];
        std::int64_t left = node.memory_bytes - model.workspace_bytes -
                            (stage.layers.begin == 0 ? model.embedding_bytes : 0) -
                            (lm_head ? model.lm_head_bytes : 0);
        std::int64_t block = 0;
        double decode_cost = 0;
        double prefill_cost = 0;
        for (std::int32_t i = stage.layers.begin; i < stage.layers.end; ++i) {
            const PartitionLayer& layer = model.layers[static_cast<std::size_t>(i)];
            left -= layer.weight_bytes + layer.state_bytes * model.max_sequences;
            block += layer.kv_block_bytes;
            decode_cost += layer.decode_cost;
            prefill_cost += layer.prefill_cost;
        }
        const std::int64_t of_use =
            model.max_blocks > 0 ? model.max_blocks : std::numeric_limits<std::int64_t>::max();
        const std::int64_t blocks =
            left < 0 ? -1 : std::min(of_use, block > 0 ? left / block : of_use);
        if (blocks < model.min_blocks) return false;
        worth.kv_blocks = std::min(worth.kv_blocks, blocks);
        const double one = decode_cost * node.decode_layer_us + (lm_head ? node.lm_head_row_us : 0);
        const double row =
            node.decode_row_layer_us > 0 ? node.decode_row_layer_us : node.prefill_row_layer_us;
        const double factor = 1 + (rows() - 1) * row / node.decode_layer_us;
        const double slice = std::min(input_.workload.slice_tokens, input_.workload.prompt_tokens);
        const double prompts = prefill_cost * prompt_rows() *
                               std::max(node.prefill_row_layer_us, node.decode_layer_us / slice);
        worth.slowest_us = std::max(worth.slowest_us, one * factor + prompts);
        worth.ring_us += one;
        return true;
    }

    /// Adds the link from stage `i` to the next one. The link from the last stage leads to the
    /// first.
    void add_link(std::size_t i, PlanWorth& worth) const {
        const bool last = i + 1 == stages_.size();
        const std::size_t to = stages_[last ? 0 : i + 1].node;
        const LinkModel next = link(input_.nodes[stages_[i].node].id, input_.nodes[to].id);
        const auto row_bytes = static_cast<double>(input_.model.activation_row_bytes);
        const double more = last ? rows() / input_.workload.output_tokens : prompt_rows();
        worth.slowest_us = std::max(worth.slowest_us, enter(next, (rows() + more) * row_bytes));
        worth.ring_us += enter(next, row_bytes) + static_cast<double>(next.delay_us);
    }

    const PartitionInput& input_;
    std::vector<bool> used_;
    std::vector<Stage> stages_;
    std::vector<PlanWorth> plans_;
};

}  // namespace

PartitionInput random_partition_input(std::uint64_t seed) {
    Random random(seed);
    PartitionInput input;
    PartitionModel& model = input.model;
    const auto layers = static_cast<std::size_t>(1 + random.below(8));
    PartitionLayer layer;
    layer.weight_bytes = static_cast<std::int64_t>(10 + random.below(50));
    model.embedding_bytes = static_cast<std::int64_t>(random.below(100));
    model.lm_head_bytes = static_cast<std::int64_t>(random.below(100));
    model.workspace_bytes = static_cast<std::int64_t>(random.below(20));
    layer.kv_block_bytes = static_cast<std::int64_t>(1 + random.below(4));
    model.layers.assign(layers, layer);
    model.min_blocks = static_cast<std::int64_t>(random.below(6));
    model.max_blocks = random.below(3) == 0 ? 8 + static_cast<std::int64_t>(random.below(20)) : 0;
    model.activation_row_bytes = static_cast<std::int64_t>(random.below(200));
    const std::uint64_t nodes = 1 + random.below(5);
    const std::uint64_t first_id = random.below(2);  // with or without a stage on the head
    for (std::uint64_t i = 0; i < nodes; ++i) {
        PartitionNode node;
        node.id = NodeId(static_cast<std::uint32_t>(first_id + i));
        node.name = "n" + std::to_string(i);
        node.memory_bytes = static_cast<std::int64_t>(100 + random.below(500));
        node.decode_layer_us = 1.0 + static_cast<double>(random.below(100));
        node.prefill_row_layer_us = static_cast<double>(random.below(20));
        if (random.below(3) == 0) node.decode_row_layer_us = static_cast<double>(random.below(9));
        node.lm_head_row_us = static_cast<double>(random.below(200));
        input.nodes.push_back(node);
    }
    add_links(input, random);
    input.workload.running = static_cast<std::int32_t>(1 + random.below(16));
    input.workload.prompt_tokens = static_cast<std::int32_t>(1 + random.below(400));
    input.workload.output_tokens = static_cast<std::int32_t>(1 + random.below(200));
    input.objective =
        random.below(2) == 0 ? PartitionObjective::throughput : PartitionObjective::latency;
    input.pin_first = random.below(2) == 0;
    input.fixed_order = random.below(4) == 0;
    input.keep_all = random.below(8) == 0;
    model.tied_embeddings = random.below(3) > 0;
    if (random.below(4) == 0) input.lm_head = LmHead::last;
    if (model.tied_embeddings && random.below(4) == 0) input.lm_head = LmHead::first;
    if (random.below(4) == 0) {
        const auto begin = static_cast<std::int32_t>(random.below(layers));
        const auto more =
            static_cast<std::int32_t>(random.below(layers - static_cast<std::uint64_t>(begin)));
        input.nodes[random.below(nodes)].fixed = LayerRange{begin, begin + 1 + more};
    }
    return input;
}

void make_layers_differ(PartitionInput& input, std::uint64_t seed) {
    Random random(~seed);
    PartitionModel& model = input.model;
    model.max_sequences = static_cast<std::int32_t>(1 + random.below(4));
    const std::uint64_t kinds = 2 + random.below(3);
    const std::uint64_t pattern = random.below(3);
    std::vector<PartitionLayer> kind(kinds, model.layers.front());
    for (std::size_t i = 0; i < kinds; ++i) {
        PartitionLayer& layer = kind[i];
        if (random.below(3) > 0) layer.weight_bytes *= static_cast<std::int64_t>(1 + i);
        if (random.below(2) > 0) layer.kv_block_bytes *= static_cast<std::int64_t>(random.below(4));
        if (random.below(3) == 0) layer.state_bytes = static_cast<std::int64_t>(random.below(20));
        if (random.below(3) > 0) layer.decode_cost = 0.25 * static_cast<double>(random.below(16));
        if (random.below(3) > 0) layer.prefill_cost = 0.1 + random.uniform() * 3;
    }
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        // Pattern 0: the first two differ from the rest. 1: kinds in turn. 2: any order.
        const std::uint64_t which = pattern == 0   ? (i < 2 ? 0 : 1)
                                    : pattern == 1 ? i % kinds
                                                   : random.below(kinds);
        model.layers[i] = kind[which];
    }
}

PartitionInput site_input(std::uint64_t seed, std::size_t nodes, std::int32_t layers) {
    Random random(seed);
    PartitionInput input;
    input.model.layers.assign(static_cast<std::size_t>(layers),
                              {.weight_bytes = 1000, .kv_block_bytes = 10});
    input.model.max_blocks = 100;
    input.model.activation_row_bytes = 8192;
    for (std::size_t i = 0; i < nodes; ++i) {
        PartitionNode node;
        node.id = NodeId(static_cast<std::uint32_t>(i));
        node.name = "n" + std::to_string(i);
        node.memory_bytes = 1000 * layers;
        node.decode_layer_us = 500 + static_cast<double>(random.below(1500));
        node.prefill_row_layer_us = node.decode_layer_us / 10;
        node.lm_head_row_us = 1000;
        input.nodes.push_back(node);
    }
    for (std::size_t from = 0; from < nodes; ++from) {
        for (std::size_t to = 0; to < nodes; ++to) {
            if (from == to) continue;
            // Neighbours in the list belong to different sites.
            const std::size_t sites = (nodes + 3) / 4;
            LinkModel link{125e6, 200, 0};
            if (from % sites != to % sites) {
                link = {1e6 + static_cast<double>(random.below(10'000'000)),
                        static_cast<std::int64_t>(5000 + random.below(25'000)), 0};
            }
            input.links.push_back({input.nodes[from].id, input.nodes[to].id, link});
        }
    }
    return input;
}

PartitionInput mixed_site_input(std::uint64_t seed) {
    const auto nodes = static_cast<std::size_t>(4 + seed * 7 % 29);
    PartitionInput input = site_input(seed, nodes, static_cast<std::int32_t>(33 + seed * 13 % 60));
    input.objective = seed % 2 == 1 ? PartitionObjective::throughput : PartitionObjective::latency;
    input.model.tied_embeddings = seed % 3 == 0;
    input.pin_first = seed % 5 == 0;
    input.fixed_order = seed % 11 == 0;
    for (std::size_t i = 0; i < nodes; ++i) {
        PartitionNode& node = input.nodes[i];
        node.memory_bytes = 4000 + static_cast<std::int64_t>((seed * 7919 + i * 104729) % 30000);
        if (seed % 7 == 0 && i == 2) node.fixed = LayerRange{10, 15};
        if (seed % 4 == 1) node.decode_layer_us /= 3;
    }
    return input;
}

std::vector<PlanWorth> every_plan(const PartitionInput& input) {
    return PlanList(input).run();
}

}  // namespace molink::test
