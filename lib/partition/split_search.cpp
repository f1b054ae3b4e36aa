// The exact searches behind the built-in partitioners: dynamic programmes over the layers placed so
// far and the node that was placed last, for one order or for all orders at once. Each cell first
// takes the best arrival over the links and then the best range of layers, so the work for links
// and ranges is added, not multiplied. The chosen stages are traced back from the last cell: a step
// was taken if it gives the cell exactly its value, because the same arithmetic gives the same
// bits.
#include "partition/split_search.h"

#include <algorithm>
#include <bit>

#include "base/limits.h"
#include "partition/stage_rows.h"

namespace molink {
namespace {

using Row = std::vector<double>;  // [layers + 1]

/// Places a stage of `node` behind `arrival` [layers + 1]: lowers out[end] to the best value with a
/// stage that ends there.
void place(const SearchPass& pass, StageRows& rows, std::size_t node, const double* arrival,
           double* out) {
    const std::int32_t layers = pass.layers;
    const auto& fixed = pass.fixed[node];
    const std::int32_t from = fixed ? fixed->begin : 0;
    const std::int32_t until = fixed ? fixed->begin : layers - 1;
    for (std::int32_t begin = from; begin <= until; ++begin) {
        const double before = arrival[begin];
        if (before == kInfinity) continue;
        const StageRow row = rows.row(node, begin);
        const std::int32_t first = fixed ? fixed->end : begin + 1;
        const std::int32_t last = std::min(fixed ? fixed->end : layers, row.last);
        for (std::int32_t end = first; end <= std::min(last, layers - 1); ++end) {
            out[end] = std::min(out[end], pass.join(before, row.values[end]));
        }
        if (last < layers) continue;
        const double whole = pass.join(before, row.values[layers]);
        out[layers] = std::min(out[layers], pass.join(whole, pass.leave[node]));
    }
}

/// Returns the first layer of the stage of `node` that ends at `end` and gave that cell `value`.
std::int32_t begin_of(const SearchPass& pass, StageRows& rows, std::size_t node,
                      const double* arrival, std::int32_t end, double value) {
    Row out(static_cast<std::size_t>(pass.layers) + 1);
    Row single(out.size());
    for (std::int32_t begin = 0; begin < end; ++begin) {
        if (arrival[begin] == kInfinity) continue;
        std::fill(out.begin(), out.end(), kInfinity);
        std::fill(single.begin(), single.end(), kInfinity);
        single[static_cast<std::size_t>(begin)] = arrival[begin];
        place(pass, rows, node, single.data(), out.data());
        if (out[static_cast<std::size_t>(end)] == value) return begin;
    }
    return 0;
}

/// The search over one order. Cells are [position, layers placed].
class OrderSearch {
public:
    OrderSearch(const SearchPass& pass, StageRows& rows, const std::vector<std::size_t>& order,
                const std::vector<bool>& required)
        : pass_(pass),
          rows_(rows),
          order_(order),
          width_(static_cast<std::size_t>(pass.layers) + 1),
          arrival_(order.size() * width_, kInfinity),
          best_(order.size() * width_, kInfinity) {
        for (std::size_t node : order) required_.push_back(required[node]);
    }

    Split run() {
        for (std::size_t at = 0; at < order_.size(); ++at) {
            arrive(at);
            place(pass_, rows_, order_[at], &arrival_[at * width_], &best_[at * width_]);
        }
        Split split;
        std::size_t last = 0;
        for (std::size_t at = order_.size(); at-- > 0;) {
            const double value = best_[at * width_ + width_ - 1];
            if (value < split.value) {
                split.value = value;
                last = at;
            }
            if (required_[at]) break;
        }
        if (split.value < kInfinity) trace(last, split);
        return split;
    }

private:
    /// Returns the first position whose node may come directly before the node at `at`, without
    /// skipping a required node.
    std::size_t earliest_before(std::size_t at) const {
        std::size_t from = at;
        while (from > 0 && !required_[from - 1]) --from;
        return from > 0 ? from - 1 : 0;
    }
    bool may_begin(std::size_t at) const {
        return std::find(required_.begin(), required_.begin() + static_cast<std::ptrdiff_t>(at),
                         true) == required_.begin() + static_cast<std::ptrdiff_t>(at);
    }

    void arrive(std::size_t at) {
        double* arrival = &arrival_[at * width_];
        if (may_begin(at)) arrival[0] = pass_.join(pass_.neutral(), pass_.enter[order_[at]]);
        for (std::size_t from = earliest_before(at); from < at; ++from) {
            const double link = pass_.link[order_[from] * pass_.nodes + order_[at]];
            if (link == kInfinity) continue;
            const double* before = &best_[from * width_];
            for (std::size_t l = 1; l + 1 < width_; ++l) {
                arrival[l] = std::min(arrival[l], pass_.join(before[l], link));
            }
        }
    }

    void trace(std::size_t at, Split& split) const {
        std::int32_t end = pass_.layers;
        while (end > 0) {
            const double* arrival = &arrival_[at * width_];
            const double value = best_[at * width_ + static_cast<std::size_t>(end)];
            const std::int32_t begin = begin_of(pass_, rows_, order_[at], arrival, end, value);
            split.stages.push_back({order_[at], {begin, end}});
            end = begin;
            if (begin == 0) break;
            const auto l = static_cast<std::size_t>(begin);
            std::size_t from = earliest_before(at);
            while (from + 1 < at &&
                   pass_.join(best_[from * width_ + l],
                              pass_.link[order_[from] * pass_.nodes + order_[at]]) != arrival[l]) {
                ++from;
            }
            at = from;
        }
        std::reverse(split.stages.begin(), split.stages.end());
    }

    const SearchPass& pass_;
    StageRows& rows_;
    const std::vector<std::size_t>& order_;
    std::vector<bool> required_;  // [positions]
    std::size_t width_;
    Row arrival_;
    Row best_;
};

/// The search over all orders. Cells are [set of nodes, last node, layers placed].
class SetSearch {
public:
    SetSearch(const SearchPass& pass, StageRows& rows, const OrderRules& rules)
        : pass_(pass),
          rows_(rows),
          rules_(rules),
          width_(static_cast<std::size_t>(pass.layers) + 1),
          best_((std::size_t{1} << pass.nodes) * pass.nodes * width_, kInfinity) {}

    Split run() {
        Row arrival(width_);
        Split split;
        std::uint32_t best_set = 0;
        std::size_t last = 0;
        const std::uint32_t sets = std::uint32_t{1} << pass_.nodes;
        for (std::uint32_t set = 1; set < sets; ++set) {
            if ((set & ~rules_.usable) != 0) continue;
            if (rules_.pinned && (set >> *rules_.pinned & 1) == 0) continue;
            for (std::size_t node = 0; node < pass_.nodes; ++node) {
                if ((set >> node & 1) == 0) continue;
                arrive(set, node, arrival);
                place(pass_, rows_, node, arrival.data(), cell(set, node));
                const double value = cell(set, node)[width_ - 1];
                if ((set & rules_.required) != rules_.required || value == kInfinity) continue;
                const bool fewer = std::popcount(set) < std::popcount(best_set);
                if (value < split.value || (value == split.value && fewer)) {
                    split.value = value;
                    best_set = set;
                    last = node;
                }
            }
        }
        if (split.value < kInfinity) trace(best_set, last, split);
        return split;
    }

private:
    double* cell(std::uint32_t set, std::size_t node) {
        return &best_[(set * pass_.nodes + node) * width_];
    }

    void arrive(std::uint32_t set, std::size_t node, Row& arrival) {
        std::fill(arrival.begin(), arrival.end(), kInfinity);
        const std::uint32_t before = set & ~(std::uint32_t{1} << node);
        if (before == 0) {
            if (rules_.pinned && *rules_.pinned != node) return;
            arrival[0] = pass_.join(pass_.neutral(), pass_.enter[node]);
            return;
        }
        for (std::size_t from = 0; from < pass_.nodes; ++from) {
            const double link = pass_.link[from * pass_.nodes + node];
            if ((before >> from & 1) == 0 || link == kInfinity) continue;
            const double* value = cell(before, from);
            for (std::size_t l = 1; l + 1 < width_; ++l) {
                arrival[l] = std::min(arrival[l], pass_.join(value[l], link));
            }
        }
    }

    void trace(std::uint32_t set, std::size_t node, Split& split) {
        Row arrival(width_);
        std::int32_t end = pass_.layers;
        while (end > 0) {
            arrive(set, node, arrival);
            const double value = cell(set, node)[end];
            const std::int32_t begin = begin_of(pass_, rows_, node, arrival.data(), end, value);
            split.stages.push_back({node, {begin, end}});
            end = begin;
            if (begin == 0) break;
            set &= ~(std::uint32_t{1} << node);
            const auto leads = [&](std::size_t from) {
                return (set >> from & 1) != 0 &&
                       pass_.join(cell(set, from)[begin], pass_.link[from * pass_.nodes + node]) ==
                           arrival[static_cast<std::size_t>(begin)];
            };
            std::size_t from = 0;
            while (from + 1 < pass_.nodes && !leads(from)) ++from;
            node = from;
        }
        std::reverse(split.stages.begin(), split.stages.end());
    }

    const SearchPass& pass_;
    StageRows& rows_;
    OrderRules rules_;
    std::size_t width_;
    Row best_;
};

/// Returns the pass with `first` as its first node. The link back then depends only on the last
/// node, so it becomes `leave`.
SearchPass returning_to(const SearchPass& pass, std::size_t first) {
    SearchPass closed = pass;
    closed.back.clear();
    for (std::size_t last = 0; last < pass.nodes; ++last) {
        closed.leave[last] = pass.back[last * pass.nodes + first];
    }
    return closed;
}

}  // namespace

bool orders_can_be_searched(std::size_t nodes, std::int32_t layers) {
    if (nodes > limits::kMaxSearchedNodes) return false;
    const double sets = static_cast<double>(nodes) * static_cast<double>(1u << nodes) / 2;
    return sets * layers * layers <= limits::kMaxSearchWork;
}

Split search_order(const SearchPass& pass, const std::vector<std::size_t>& order,
                   const std::vector<bool>& required) {
    StageRows rows(pass, !pass.back.empty());
    if (pass.back.empty()) return OrderSearch(pass, rows, order, required).run();
    Split best;
    for (std::size_t at = 0; at < order.size(); ++at) {
        const std::vector<std::size_t> rest(order.begin() + static_cast<std::ptrdiff_t>(at),
                                            order.end());
        std::vector<bool> kept = required;
        kept[rest.front()] = true;
        Split split = OrderSearch(returning_to(pass, rest.front()), rows, rest, kept).run();
        if (split.value < best.value) best = std::move(split);
        if (required[rest.front()]) break;
    }
    return best;
}

Split search_orders(const SearchPass& pass, const OrderRules& rules) {
    StageRows rows(pass, true);
    if (pass.back.empty()) return SetSearch(pass, rows, rules).run();
    Split best;
    for (std::size_t first = 0; first < pass.nodes; ++first) {
        if ((rules.usable >> first & 1) == 0 || rules.pinned.value_or(first) != first) continue;
        OrderRules pinned = rules;
        pinned.pinned = first;
        Split split = SetSearch(returning_to(pass, first), rows, pinned).run();
        const bool fewer = split.stages.size() < best.stages.size();
        if (split.value < best.value || (split.value == best.value && fewer)) {
            best = std::move(split);
        }
    }
    return best;
}

}  // namespace molink
