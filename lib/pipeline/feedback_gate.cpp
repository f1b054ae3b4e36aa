// Joins tokens with the parts that lack them. Either may arrive first: the token if the head is far
// away, the part if it is near. A token that no part needs is dropped with its sequence, because an
// epoch may last for months. Relies on the head planning at most one row of a sequence ahead of its
// known tokens, and none after drafts that are not yet verified.
#include "pipeline/feedback_gate.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/limits.h"

namespace molink {

/// Fills in the token if it is known. Returns whether it was.
bool FeedbackGate::fill(DecodeRows& rows) {
    const auto found = open_.find(rows.sequence);
    if (found == open_.end()) return false;
    std::optional<Newest>& newest = found->second;
    if (!newest || newest->position != rows.position) return false;
    rows.token = newest->token;
    newest.reset();
    return true;
}

Status FeedbackGate::hold(const DecodeRows& rows, PartId part, std::uint64_t key) {
    using Position = std::numeric_limits<std::int32_t>;
    if (!open_.contains(rows.sequence)) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} waits for a token but is not open", part.value,
                          rows.sequence.value);
    }
    const auto from = waiting_of_.lower_bound({rows.sequence, Position::min()});
    const auto to = waiting_of_.upper_bound({rows.sequence, Position::max()});
    if (std::distance(from, to) >= limits::kMaxWaitingDecodeParts) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} already waits for tokens in {} parts", part.value,
                          rows.sequence.value, limits::kMaxWaitingDecodeParts);
    }
    if (waiting_of_.emplace(std::pair(rows.sequence, rows.position), key).second) return {};
    return make_error(StatusCode::data_loss,
                      "part {}: sequence {} already waits for its token at position {}", part.value,
                      rows.sequence.value, rows.position);
}

Result<bool> FeedbackGate::pass(PartPlan& plan) {
    for (SequenceId id : plan.releases) open_.erase(id);
    for (const SequenceOpen& item : plan.opens) open_.try_emplace(item.id);
    auto* decode = std::get_if<std::vector<DecodeRows>>(&plan.rows);
    if (decode == nullptr) return true;
    const std::uint64_t key = next_key_++;
    std::size_t missing = 0;
    for (DecodeRows& rows : *decode) {
        if (rows.token || fill(rows)) continue;
        const Status held = hold(rows, plan.key.id, key);
        if (!held.ok()) {
            std::erase_if(waiting_of_, [&](const auto& entry) { return entry.second == key; });
            return held;
        }
        ++missing;
    }
    if (missing == 0) return true;
    waiting_[key] = {std::move(plan), missing};
    return false;
}

std::vector<PartPlan> FeedbackGate::deliver(const TokenFeedback& feedback) {
    std::vector<std::uint64_t> complete;
    for (const AcceptedTokens& accepted : feedback.accepted) {
        const auto open = open_.find(accepted.sequence);
        if (open == open_.end()) continue;  // the head had the token first and ended the sequence
        const auto last = static_cast<std::int32_t>(accepted.tokens.size()) - 1;
        const std::int32_t position = accepted.position + last;
        open->second = Newest{position, accepted.tokens.back()};
        const auto found = waiting_of_.find({accepted.sequence, position});
        if (found == waiting_of_.end()) continue;
        const std::uint64_t key = found->second;
        Waiting& waiting = waiting_.at(key);
        auto& decode = std::get<std::vector<DecodeRows>>(waiting.plan.rows);
        for (DecodeRows& rows : decode) {
            if (rows.sequence != accepted.sequence || rows.token || !fill(rows)) continue;
            waiting_of_.erase(found);
            if (--waiting.missing == 0) complete.push_back(key);
            break;
        }
    }
    std::sort(complete.begin(), complete.end());
    std::vector<PartPlan> plans;
    for (std::uint64_t key : complete) {
        plans.push_back(std::move(waiting_.at(key).plan));
        waiting_.erase(key);
    }
    return plans;
}

}  // namespace molink
