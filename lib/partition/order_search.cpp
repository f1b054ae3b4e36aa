// Finds orders of nodes for large clusters. A bottleneck path through many nodes is hard to find
// exactly, so this is a local search that takes every improvement as soon as it finds one. It tries
// the usual moves for tours (2-opt by Croes, or-opt by Or) and moves that change which nodes take
// part. The time round the ring breaks ties. A second pass counts all values within 2 % as a tie,
// so that nodes of one site end up next to each other.
#include "partition/order_search.h"

#include <algorithm>
#include <numeric>

#include "base/limits.h"

namespace molink {
namespace {

using NodeOrder = std::vector<std::size_t>;

constexpr std::size_t kLongestPiece = 3;
constexpr int kStarts = 4;

class LocalSearch {
public:
    LocalSearch(const SplitProblem& problem, SequenceValuer& valuer, std::int64_t limit)
        : problem_(problem), valuer_(valuer), limit_(limit) {}

    /// Inserts the nodes one by one, each where it does best: required nodes first, then fast ones.
    /// Omits a node that is not required when it improves nothing.
    void begin_by_insertion() {
        std::vector<std::size_t> nodes = by_use();
        current_.clear();
        value_ = valuer_.value(current_);
        for (std::size_t node : nodes) insert_best(node, problem_.required[node]);
    }
    /// Begins with the best choice of nodes in the given order.
    void begin_in_order(const NodeOrder& order) {
        const bool latency = problem_.input.objective == PartitionObjective::latency;
        const Split split = search_order(latency ? ring_pass(problem_) : slowest_pass(problem_),
                                         order, problem_.required);
        current_.clear();
        for (const SplitStage& stage : split.stages) current_.push_back(stage.node);
        value_ = valuer_.value(current_);
    }

    void improve() {
        floor_us_ = 0;
        while (one_round()) {
        }
        if (spent() || value_.deficit > 0 ||
            problem_.input.objective == PartitionObjective::latency)
            return;
        floor_us_ = value_.main_us * kPlanTolerance;
        value_ = valued(current_);
        while (one_round()) {
        }
    }

    const NodeOrder& sequence() const { return current_; }
    const SequenceValue& value() const { return value_; }

private:
    bool spent() const { return valuer_.count() >= limit_; }
    std::size_t first_movable() const { return problem_.input.pin_first ? 1 : 0; }

    SequenceValue valued(const NodeOrder& sequence, double limit_us = kInfinity) {
        SequenceValue value = valuer_.value(sequence, limit_us);
        value.main_us = std::max(value.main_us, floor_us_);
        return value;
    }

    std::vector<std::size_t> by_use() const {
        std::vector<std::size_t> nodes(problem_.input.nodes.size());
        std::iota(nodes.begin(), nodes.end(), std::size_t{0});
        const auto key = [&](std::size_t node) {
            const PartitionNode& info = problem_.input.nodes[node];
            const double begin = info.fixed ? info.fixed->begin : -1;
            const int rank = problem_.input.pin_first && node == 0 ? 0 : info.fixed ? 1 : 2;
            return std::tuple(rank, begin, !problem_.required[node], info.decode_layer_us);
        };
        std::stable_sort(nodes.begin(), nodes.end(),
                         [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
        return nodes;
    }

    void insert_best(std::size_t node, bool must) {
        SequenceValue best = value_;
        NodeOrder best_sequence = current_;
        bool found = false;
        const std::size_t from = current_.empty() ? 0 : first_movable();
        for (std::size_t at = from; at <= current_.size() && !spent(); ++at) {
            NodeOrder tried = current_;
            tried.insert(tried.begin() + static_cast<std::ptrdiff_t>(at), node);
            const SequenceValue value = valued(tried);
            if (!(value < best) && !(must && !found)) continue;
            best = value;
            best_sequence = std::move(tried);
            found = true;
        }
        current_ = std::move(best_sequence);
        value_ = best;
    }

    bool accept(const NodeOrder& tried) {
        const double limit_us = value_.deficit > 0 ? kInfinity : value_.main_us;
        const SequenceValue value = valued(tried, limit_us);
        if (!(value < value_)) return false;
        current_ = tried;
        value_ = value;
        return true;
    }

    bool one_round() {
        bool better = change_members();
        better = move_pieces() || better;
        better = reverse_pieces() || better;
        return better && !spent();
    }

    std::vector<std::size_t> unused() const {
        std::vector<bool> used(problem_.input.nodes.size(), false);
        for (std::size_t node : current_) used[node] = true;
        std::vector<std::size_t> nodes;
        for (std::size_t node = 0; node < used.size(); ++node) {
            if (!used[node]) nodes.push_back(node);
        }
        return nodes;
    }

    /// Removes a node, exchanges one for an unused one, or adds one.
    bool change_members() {
        bool better = false;
        for (std::size_t at = current_.size(); at-- > first_movable() && !spent();) {
            if (at >= current_.size() || problem_.required[current_[at]]) continue;
            NodeOrder tried = current_;
            tried.erase(tried.begin() + static_cast<std::ptrdiff_t>(at));
            better = accept(tried) || better;
        }
        for (std::size_t node : unused()) {
            bool used = false;
            for (std::size_t at = first_movable(); at < current_.size() && !used; ++at) {
                if (spent()) return better;
                if (problem_.required[current_[at]]) continue;
                NodeOrder tried = current_;
                tried[at] = node;
                used = accept(tried);
            }
            for (std::size_t at = first_movable(); at <= current_.size() && !used; ++at) {
                if (spent()) return better;
                NodeOrder tried = current_;
                tried.insert(tried.begin() + static_cast<std::ptrdiff_t>(at), node);
                used = accept(tried);
            }
            better = better || used;
        }
        return better;
    }

    /// Moves pieces of up to kLongestPiece neighbours to another place.
    bool move_pieces() {
        bool better = false;
        for (std::size_t length = 1; length <= kLongestPiece; ++length) {
            for (std::size_t from = first_movable(); from + length <= current_.size(); ++from) {
                for (std::size_t to = first_movable(); to + length <= current_.size(); ++to) {
                    if (spent()) return better;
                    if (to == from) continue;
                    const auto piece = current_.begin() + static_cast<std::ptrdiff_t>(from);
                    const auto end = piece + static_cast<std::ptrdiff_t>(length);
                    NodeOrder tried(current_.begin(), piece);
                    tried.insert(tried.end(), end, current_.end());
                    tried.insert(tried.begin() + static_cast<std::ptrdiff_t>(to), piece, end);
                    better = accept(tried) || better;
                }
            }
        }
        return better;
    }

    bool reverse_pieces() {
        bool better = false;
        for (std::size_t from = first_movable(); from + 1 < current_.size(); ++from) {
            for (std::size_t to = from + 2; to <= current_.size(); ++to) {
                if (spent()) return better;
                NodeOrder tried = current_;
                std::reverse(tried.begin() + static_cast<std::ptrdiff_t>(from),
                             tried.begin() + static_cast<std::ptrdiff_t>(to));
                better = accept(tried) || better;
            }
        }
        return better;
    }

    const SplitProblem& problem_;
    SequenceValuer& valuer_;
    std::int64_t limit_;
    double floor_us_ = 0;  // faster sequences count as equal
    NodeOrder current_;
    SequenceValue value_;
};

/// Returns all nodes in an order where each is followed by its nearest unused neighbour. The pinned
/// node comes first, or else the node nearest to the head.
NodeOrder nearest_order(const SplitProblem& problem) {
    const PartitionInput& input = problem.input;
    std::vector<bool> used(input.nodes.size(), false);
    NodeOrder order;
    if (input.pin_first) {
        order.push_back(0);
        used[0] = true;
    }
    while (order.size() < used.size()) {
        std::size_t nearest = 0;
        double nearest_us = kInfinity;
        for (std::size_t node = 0; node < used.size(); ++node) {
            const double us = order.empty() ? enter_us(input, problem.links, node)
                                            : hop_us(input, problem.links, order.back(), node);
            if (used[node] || us >= nearest_us) continue;
            nearest = node;
            nearest_us = us;
        }
        used[nearest] = true;
        order.push_back(nearest);
    }
    return order;
}

/// Reverses an order. The directions of a link may differ, and no small move reverses a whole
/// order.
NodeOrder reversed(NodeOrder order, bool pin_first) {
    if (order.size() > 1) std::reverse(order.begin() + (pin_first ? 1 : 0), order.end());
    return order;
}

}  // namespace

std::vector<std::size_t> search_heuristic(const SplitProblem& problem, SequenceValuer& valuer) {
    NodeOrder given(problem.input.nodes.size());
    std::iota(given.begin(), given.end(), std::size_t{0});
    NodeOrder best;
    SequenceValue best_value = valuer.value(best);
    for (int start = 0; start < kStarts; ++start) {
        LocalSearch search(problem, valuer, limits::kMaxOrdersTried * (start + 1) / kStarts);
        if (start == 0) search.begin_by_insertion();
        if (start == 1) search.begin_in_order(given);
        if (start == 2) search.begin_in_order(nearest_order(problem));
        if (start == 3) search.begin_in_order(reversed(best, problem.input.pin_first));
        search.improve();
        if (!(search.value() < best_value)) continue;
        best = search.sequence();
        best_value = search.value();
    }
    return best_value.deficit > 0 ? NodeOrder{} : best;
}

}  // namespace molink
