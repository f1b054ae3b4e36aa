// Tokens and the parts that lack them meet here, in either order: with a distant head the token
// comes first, with a near one the part. A token that nobody asks for goes when its sequence does.
// Relies on the head keeping at most one row of a sequence ahead of its known tokens.
#include "pipeline/feedback_gate.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace molink {
namespace {

/// A decode row whose token the head did not know.
bool lacks_token(const Part& part, const SequenceRun& run) {
    return part.kind == PartKind::decode && run.tokens.empty();
}

}  // namespace

bool FeedbackGate::fill(SequenceRun& run) {
    const auto found = known_.find(run.id);
    if (found == known_.end() || found->second.position != run.position) return false;
    run.tokens.push_back(found->second.token);
    known_.erase(found);
    return true;
}

Result<bool> FeedbackGate::pass(Part& part) {
    for (SequenceId id : part.releases) known_.erase(id);
    std::vector<std::pair<SequenceId, std::int32_t>> missing;
    for (SequenceRun& run : part.runs) {
        if (!lacks_token(part, run) || fill(run)) continue;
        const auto from = waiting_of_.lower_bound({run.id, 0});
        const auto to = waiting_of_.lower_bound({SequenceId(run.id.value + 1), 0});
        if (std::distance(from, to) >= kMostWaiting) {
            return make_error(StatusCode::data_loss,
                              "part {}: sequence {} waits for tokens in {} parts already",
                              part.id.value, run.id.value, kMostWaiting);
        }
        missing.emplace_back(run.id, run.position);
    }
    if (missing.empty()) return true;
    const std::uint64_t key = next_++;
    for (const auto& row : missing) waiting_of_[row] = key;
    waiting_[key] = {std::move(part), missing.size()};
    return false;
}

Result<std::vector<Part>> FeedbackGate::take(const Retire& tokens) {
    std::vector<std::uint64_t> complete;
    for (const SampledRun& sampled : tokens.sampled) {
        if (sampled.tokens.size() != 1) {
            return make_error(StatusCode::data_loss, "part {} feeds back {} tokens of sequence {}",
                              tokens.part.value, sampled.tokens.size(), sampled.id.value);
        }
        known_[sampled.id] = {sampled.position, sampled.tokens.front()};
        const auto found = waiting_of_.find({sampled.id, sampled.position});
        if (found == waiting_of_.end()) continue;
        const std::uint64_t key = found->second;
        Waiting& waiting = waiting_.at(key);
        for (SequenceRun& run : waiting.part.runs) {
            if (run.id != sampled.id || !run.tokens.empty() || !fill(run)) continue;
            waiting_of_.erase(found);
            if (--waiting.missing == 0) complete.push_back(key);
            break;
        }
    }
    std::sort(complete.begin(), complete.end());
    std::vector<Part> parts;
    for (std::uint64_t key : complete) {
        parts.push_back(std::move(waiting_.at(key).part));
        waiting_.erase(key);
    }
    return parts;
}

}  // namespace molink
