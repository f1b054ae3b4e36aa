// Values one sequence of nodes, fast enough to try thousands. Overrides cut the layers into gaps.
// In a gap of identical layers, every node takes one layer, and each remaining layer goes to the
// node where it costs least: the node with the smallest time afterwards (throughput) or with the
// fastest layer (latency). This is exact, because only the number of layers matters. Memory bounds
// the layers of a node; the embedding and the LM head follow from its place in the sequence.
#include "partition/sequence_value.h"

#include <algorithm>

namespace molink {
namespace {

/// Keeps a sum that equals the limit from exceeding it by rounding.
constexpr double kSlack = 1 + 1e-12;

bool layers_are_alike(const PartitionModel& model) {
    const auto& layers = model.layers;
    return std::all_of(layers.begin(), layers.end(),
                       [&](const PartitionLayer& layer) { return layer == layers.front(); });
}

}  // namespace

SequenceValuer::SequenceValuer(const SplitProblem& problem)
    : problem_(problem),
      latency_(problem.input.objective == PartitionObjective::latency),
      lm_head_first_(problem.input.lm_head == LmHead::first) {
    if (layers_are_alike(problem.input.model)) {
        measure_alike();
    } else {
        search_.emplace(problem);
    }
}

void SequenceValuer::measure_alike() {
    const std::int32_t layers = problem_.input.model.layer_count();
    const LayerRange none = lm_head_first_ ? LayerRange{0, 0} : LayerRange{layers, layers};
    const LayerRange one = lm_head_first_ ? LayerRange{0, 1} : LayerRange{layers - 1, layers};
    for (std::size_t node = 0; node < problem_.input.nodes.size(); ++node) {
        for (std::size_t at = 0; at < kRoles; ++at) most_layers_.push_back(most_layers(node, at));
        lm_head_us_.push_back(stage_us(node, none));
        layer_us_.push_back(stage_us(node, one) - lm_head_us_.back());
    }
}

/// Returns the most layers that fit on `node` in the role `at`. A stage that is first or last
/// leaves at least one layer to the others, a stage in the middle at least two.
std::int32_t SequenceValuer::most_layers(std::size_t node, std::size_t at) const {
    const std::int32_t layers = problem_.input.model.layer_count();
    const auto fits = [&](std::int32_t begin, std::int32_t end) {
        return problem_.costs.fits(node, {begin, end});
    };
    if (at == role(true, true)) return fits(0, layers) ? layers : 0;
    std::int32_t most = layers - (at == role(false, false) ? 2 : 1);
    const auto fit = [&] {
        if (at == role(true, false)) return fits(0, most);
        return at == role(false, true) ? fits(layers - most, layers) : fits(1, 1 + most);
    };
    while (most > 0 && !fit()) --most;
    return std::max(most, 0);
}

double SequenceValuer::stage_us(std::size_t node, LayerRange layers) const {
    return latency_ ? problem_.costs.decode_us(node, layers, 1)
                    : problem_.costs.work_us(node, layers, problem_.rows);
}

void SequenceValuer::add_time(double stage_us, SequenceValue& value) const {
    value.main_us = latency_ ? value.main_us + stage_us : std::max(value.main_us, stage_us);
}

bool SequenceValuer::add_fixed(std::size_t node, SequenceValue& value) const {
    const LayerRange range = *problem_.input.nodes[node].fixed;
    if (!problem_.costs.fits(node, range)) return false;
    add_time(stage_us(node, range), value);
    return true;
}

SequenceValuer::Filler SequenceValuer::filler_of(std::size_t node, bool first, bool last) const {
    Filler filler;
    filler.node = node;
    if (search_) return filler;
    filler.base_us = (lm_head_first_ ? first : last) ? lm_head_us_[node] : 0;
    filler.layer_us = layer_us_[node];
    filler.most = most_layers_[node * kRoles + role(first, last)];
    return filler;
}

void SequenceValuer::fill_gap(LayerRange gap, double limit_us, SequenceValue& value) {
    if (!search_) {
        deal_alike(gap.size(), value);
    } else {
        gap_nodes_.clear();
        for (const Filler& filler : gap_) gap_nodes_.push_back(filler.node);
        const GapValue dealt = search_->search(gap, gap_nodes_, limit_us);
        value.deficit += dealt.deficit;
        if (dealt.deficit == 0) add_time(dealt.main_us, value);
    }
    gap_.clear();
}

void SequenceValuer::deal_alike(std::int32_t gap, SequenceValue& value) {
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
        return;
    }
    const auto after = [&](const Filler& filler) {
        return latency_ ? filler.layer_us : filler.base_us + (filler.layers + 1) * filler.layer_us;
    };
    const auto worse = [&](const Filler& a, const Filler& b) { return after(a) > after(b); };
    std::make_heap(gap_.begin(), gap_.end(), worse);
    while (!gap_.empty()) {
        Filler& next = gap_.front();
        if (left > 0 && next.layers < next.most) {
            const std::int32_t more = latency_ ? std::min(left, next.most - next.layers) : 1;
            next.layers += more;
            left -= more;
        }
        std::pop_heap(gap_.begin(), gap_.end(), worse);
        const Filler& changed = gap_.back();
        if (left == 0 || changed.layers == changed.most) {
            add_time(changed.base_us + changed.layers * changed.layer_us, value);
            gap_.pop_back();
        } else {
            std::push_heap(gap_.begin(), gap_.end(), worse);
        }
    }
}

SequenceValuer::LinkTimes SequenceValuer::link_times(
    const std::vector<std::size_t>& sequence) const {
    const PartitionInput& input = problem_.input;
    LinkTimes times;
    const RingShape ring = planned_ring(input, sequence.size());
    times.ring_us = enter_us(input, problem_.links, sequence.front()) +
                    return_us(input, problem_.links, ring, sequence.back(), sequence.front());
    for (std::size_t i = 0; i < sequence.size(); ++i) {
        const auto next = ring.next(i);
        if (!next) continue;
        const std::size_t to = sequence[*next];
        if (!ring.is_last(i)) times.ring_us += hop_us(input, problem_.links, sequence[i], to);
        if (latency_) continue;
        const LinkModel& link = problem_.links.between(sequence[i], to);
        times.slowest_us =
            std::max(times.slowest_us, link_work_us(input, link, problem_.rows, ring.cargo(i)));
    }
    return times;
}

SequenceValue SequenceValuer::value(const std::vector<std::size_t>& sequence, double limit_us) {
    ++count_;
    SequenceValue value;
    if (sequence.empty()) {
        value.deficit = kHopeless;
        return value;
    }
    const LinkTimes links = link_times(sequence);
    if (links.slowest_us > limit_us) return {0, links.slowest_us, links.ring_us, true};
    add_stages(sequence, latency_ ? limit_us * kSlack - links.ring_us : limit_us, value);
    value.ring_us = links.ring_us;
    value.by_link = links.slowest_us > value.main_us;
    value.main_us = std::max(value.main_us, links.slowest_us);
    if (latency_) value.main_us += links.ring_us;
    return value;
}

void SequenceValuer::add_stages(const std::vector<std::size_t>& sequence, double limit_us,
                                SequenceValue& value) {
    gap_.clear();
    std::int32_t placed = 0;
    for (std::size_t i = 0; i < sequence.size(); ++i) {
        const auto& fixed = problem_.input.nodes[sequence[i]].fixed;
        if (!fixed) {
            gap_.push_back(filler_of(sequence[i], i == 0, i + 1 == sequence.size()));
            continue;
        }
        const bool in_order = fixed->begin >= placed;
        if (in_order) fill_gap({placed, fixed->begin}, limit_us, value);
        if (!in_order || !add_fixed(sequence[i], value)) value.deficit += kHopeless;
        placed = fixed->end;
    }
    fill_gap({placed, problem_.input.model.layer_count()}, limit_us, value);
}

}  // namespace molink
