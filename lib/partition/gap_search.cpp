// Splits layers that differ over a sequence of nodes. A stage of one node gets cheaper as it starts
// later. A start that is too early for one end, by memory or by the limit, is too early for all
// later ends. One queue of starts therefore serves all ends in turn: a start leaves it at the back
// when a later one is as good, and at the front when it is too early. For the sum, the front is the
// best start. For the maximum, the best start is where the value before the stage crosses the value
// of the stage; bisection finds it.
#include "partition/gap_search.h"

#include <algorithm>

namespace molink {
GapSearch::GapSearch(const SplitProblem& problem)
    : problem_(problem),
      latency_(problem.input.objective == PartitionObjective::latency),
      before_(problem.input.model.layers.size() + 1),
      after_(before_.size()) {
    for (std::size_t node = 0; node < problem.input.nodes.size(); ++node) {
        rates_.push_back(problem.costs.rate(node, latency_ ? 1 : problem.rows));
        std::int32_t begin = 0;
        for (std::int32_t end = 0; end <= problem.input.model.layer_count(); ++end) {
            while (begin < end && !problem.costs.fits(node, {begin, end})) ++begin;
            earliest_.push_back(begin);
        }
    }
}

GapValue GapSearch::search(LayerRange gap, const std::vector<std::size_t>& nodes, double limit_us) {
    const auto count = static_cast<std::int32_t>(nodes.size());
    if (count == 0) return {static_cast<double>(gap.size()), 0};
    if (count > gap.size()) return {static_cast<double>(count - gap.size()), 0};
    before_[static_cast<std::size_t>(gap.begin)] = 0;
    LayerRange band{gap.begin, gap.begin + 1};
    for (std::size_t i = 0; i < nodes.size() && !band.empty(); ++i) {
        band = place(nodes[i], band, gap.end, limit_us);
        before_.swap(after_);
    }
    const bool works = band.end == gap.end + 1;
    if (works) return {0, before_[static_cast<std::size_t>(gap.end)]};
    if (limit_us < kInfinity) return {0, kInfinity};
    return {band.empty() ? kHopeless : gap.end + 1 - band.end, 0};
}

/// Fills after_ from before_, whose finite values lie in `band`. Returns the band of the finite
/// values in after_.
LayerRange GapSearch::place(std::size_t node, LayerRange band, std::int32_t gap_end,
                            double limit_us) {
    starts_.clear();
    first_ = 0;
    LayerRange reached{0, 0};
    for (std::int32_t end = band.begin + 1; end <= gap_end; ++end) {
        const bool may_start = end <= band.end;
        if (may_start && before_[static_cast<std::size_t>(end - 1)] < kInfinity) {
            add_start(node, end - 1);
        }
        drop_starts(node, end, limit_us);
        if (first_ == starts_.size() && !may_start) break;
        double value = first_ < starts_.size() ? best_value(node, end) : kInfinity;
        if (value > limit_us) value = kInfinity;
        after_[static_cast<std::size_t>(end)] = value;
        if (value == kInfinity) continue;
        if (reached.empty()) reached.begin = end;
        reached.end = end + 1;
    }
    return reached;
}

void GapSearch::add_start(std::size_t node, std::int32_t layer) {
    double key = before_[static_cast<std::size_t>(layer)];
    if (latency_) {
        // The sum for an end is the key plus a term that does not depend on the start.
        key -= rates_[node].decode_layer_us * problem_.costs.decode_cost({0, layer});
        const bool lm_head = layer == 0 && problem_.input.lm_head == LmHead::first;
        if (lm_head) key += rates_[node].lm_head_us;
    }
    while (starts_.size() > first_ && starts_.back().key >= key) starts_.pop_back();
    starts_.push_back({layer, key});
}

void GapSearch::drop_starts(std::size_t node, std::int32_t end, double limit_us) {
    for (; first_ < starts_.size(); ++first_) {
        const std::int32_t begin = starts_[first_].layer;
        const bool slow = limit_us < kInfinity && stage_us(node, {begin, end}) > limit_us;
        if (!slow && begin >= earliest_[node * before_.size() + static_cast<std::size_t>(end)]) {
            return;
        }
    }
}

double GapSearch::best_value(std::size_t node, std::int32_t end) const {
    const auto stage = [&](std::size_t i) { return stage_us(node, {starts_[i].layer, end}); };
    if (latency_) {
        return before_[static_cast<std::size_t>(starts_[first_].layer)] + stage(first_);
    }
    // Finds the first start that is not before the crossing; low is starts_.size() if none is.
    std::size_t low = first_;
    std::size_t high = starts_.size();
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        if (starts_[middle].key >= stage(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    double best = low < starts_.size() ? starts_[low].key : kInfinity;
    if (low > first_) best = std::min(best, stage(low - 1));
    return best;
}

double GapSearch::stage_us(std::size_t node, LayerRange layers) const {
    const StageCosts& costs = problem_.costs;
    const double decode_cost = costs.decode_cost(layers);
    const bool lm_head = costs.has_lm_head(layers);
    return latency_ ? rates_[node].decode_us(decode_cost, lm_head)
                    : rates_[node].work_us(decode_cost, costs.prefill_cost(layers), lm_head);
}

}  // namespace molink
