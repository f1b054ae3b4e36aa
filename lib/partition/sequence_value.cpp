// The value of one sequence of nodes, cheap enough to try thousands. Overrides cut the layers into
// gaps; within a gap every free node takes one layer, and the rest goes one by one to whoever is
// hurt least: the smallest time after it (throughput) or the smallest time per layer (latency).
// That is exact because layers are alike. Memory bounds what a node takes; roles follow from the
// ends.
#include "partition/sequence_value.h"

#include <algorithm>

namespace molink {
namespace {

constexpr double kHopeless = 1e9;  // more than any number of layers

}  // namespace

SequenceValuer::SequenceValuer(const SplitProblem& problem)
    : problem_(problem),
      latency_(problem.input.objective == PartitionObjective::latency),
      head_first_(problem.input.lm_head == LmHead::first) {
    const PartitionInput& input = problem.input;
    const std::int32_t layers = input.model.layers;
    const SearchPass pass = ring_pass(problem);
    const double* row = pass.stage.data();
    for (std::size_t at = 0; at < input.nodes.size() * SearchPass::kRoles; ++at) {
        std::int32_t most = layers;
        while (most > 0 && row[most] == std::numeric_limits<double>::infinity()) --most;
        most_layers_.push_back(most);
        row += layers + 1;
    }
    for (std::size_t node = 0; node < input.nodes.size(); ++node) {
        head_us_.push_back(
            stage_us(node, head_first_ ? LayerRange{0, 0} : LayerRange{layers, layers}));
        const LayerRange one = head_first_ ? LayerRange{0, 1} : LayerRange{layers - 1, layers};
        layer_us_.push_back(stage_us(node, one) - head_us_.back());
    }
}

double SequenceValuer::stage_us(std::size_t node, LayerRange layers) const {
    return latency_ ? stage_decode_us(problem_.input, node, layers, 1)
                    : stage_work_us(problem_.input, node, layers, problem_.rows);
}

bool SequenceValuer::add_fixed(std::size_t node, SequenceValue& value) const {
    const LayerRange range = *problem_.input.nodes[node].fixed;
    if (!stage_permitted(problem_.input, node, range)) return false;
    const double time = stage_us(node, range);
    value.main_us = latency_ ? value.main_us + time : std::max(value.main_us, time);
    return true;
}

void SequenceValuer::fill_gap(std::int32_t gap, SequenceValue& value) {
    std::int64_t room = 0;
    std::int32_t left = gap;
    bool hopeless = false;
    for (Filler& filler : gap_) {
        room += filler.most;
        hopeless = hopeless || filler.most < 1;
        filler.layers = 1;
        --left;
    }
    if (hopeless || left < 0 || room < gap) {
        value.deficit +=
            left < 0 ? -left : static_cast<double>(std::max(gap - room, std::int64_t{0}));
        if (hopeless) value.deficit += kHopeless;
        gap_.clear();
        return;
    }
    const auto after = [&](const Filler& filler) {
        return latency_ ? filler.layer_us : filler.base_us + (filler.layers + 1) * filler.layer_us;
    };
    const auto worse = [&](const Filler& a, const Filler& b) { return after(a) > after(b); };
    const auto finish = [&](const Filler& filler) {
        const double time = filler.base_us + filler.layers * filler.layer_us;
        value.main_us = latency_ ? value.main_us + time : std::max(value.main_us, time);
    };
    std::make_heap(gap_.begin(), gap_.end(), worse);
    while (!gap_.empty()) {
        Filler& next = gap_.front();
        if (left > 0 && next.layers < next.most && !latency_) {
            ++next.layers;
            --left;
        } else if (left > 0 && next.layers < next.most) {
            const std::int32_t taken = std::min(left, next.most - next.layers);
            next.layers += taken;
            left -= taken;
        }
        std::pop_heap(gap_.begin(), gap_.end(), worse);
        if (left == 0 || gap_.back().layers == gap_.back().most) {
            finish(gap_.back());
            gap_.pop_back();
        } else {
            std::push_heap(gap_.begin(), gap_.end(), worse);
        }
    }
}

void SequenceValuer::add_links(const std::vector<std::size_t>& sequence,
                               SequenceValue& value) const {
    const PartitionInput& input = problem_.input;
    double ring = enter_us(input, problem_.links, sequence.front()) +
                  return_us(input, problem_.links, sequence.back(), sequence.front());
    const bool rows_return = head_first_ && sequence.size() > 1;
    for (std::size_t i = 0; i + (rows_return ? 0 : 1) < sequence.size(); ++i) {
        const bool back = i + 1 == sequence.size();
        const std::size_t to = back ? sequence.front() : sequence[i + 1];
        if (!back) ring += hop_us(input, problem_.links, sequence[i], to);
        const LinkModel& link = problem_.links.between(sequence[i], to);
        const double time = latency_ ? 0 : link_work_us(input, link, problem_.rows, back);
        if (time <= value.main_us) continue;
        value.main_us = time;
        value.by_link = true;
    }
    value.ring_us = ring;
    if (latency_) value.main_us += ring;
}

SequenceValue SequenceValuer::value(const std::vector<std::size_t>& sequence) {
    ++count_;
    SequenceValue value;
    if (sequence.empty()) {
        value.deficit = kHopeless;
        return value;
    }
    const std::int32_t layers = problem_.input.model.layers;
    std::int32_t placed = 0;
    for (std::size_t i = 0; i < sequence.size(); ++i) {
        const PartitionNode& node = problem_.input.nodes[sequence[i]];
        if (node.fixed) {
            const bool in_order = node.fixed->begin >= placed;
            if (in_order) fill_gap(node.fixed->begin - placed, value);
            if (!in_order || !add_fixed(sequence[i], value)) value.deficit += kHopeless;
            placed = node.fixed->end;
            continue;
        }
        const bool last = i + 1 == sequence.size();
        Filler filler;
        filler.base_us = (head_first_ ? i == 0 : last) ? head_us_[sequence[i]] : 0;
        filler.layer_us = layer_us_[sequence[i]];
        filler.most =
            most_layers_[sequence[i] * SearchPass::kRoles + SearchPass::role(i == 0, last)];
        gap_.push_back(filler);
    }
    fill_gap(layers - placed, value);
    add_links(sequence, value);
    return value;
}

}  // namespace molink
