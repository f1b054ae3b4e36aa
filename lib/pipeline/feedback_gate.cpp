// Tokens and the parts that lack them meet here, in either order: with a distant head the token
// comes first, with a near one the part. A token that nobody asks for goes when its sequence does,
// or, when the head was faster, is not kept at all: an epoch may last for months.
// Relies on the head keeping at most one row of a sequence ahead of its known tokens.
#include "pipeline/feedback_gate.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "base/error.h"

namespace molink {
namespace {

/// A decode row whose token the head did not know.
bool lacks_token(const Part& part, const SequenceRun& run) {
    return part.kind == PartKind::decode && run.tokens.empty();
}

}  // namespace

Retire fed_back(const Retire& retire) {
    Retire tokens;
    tokens.epoch = retire.epoch;
    tokens.step = retire.step;
    tokens.part = retire.part;
    for (const SampledRun& run : retire.sampled) {
        if (run.tokens.empty()) continue;
        tokens.sampled.push_back({run.id, run.position, run.tokens, {}, {}});
    }
    return tokens;
}

bool FeedbackGate::fill(SequenceRun& run) {
    const auto found = open_.find(run.id);
    if (found == open_.end()) return false;
    std::optional<Known>& known = found->second;
    if (!known || known->position != run.position) return false;
    run.tokens.push_back(known->token);
    known.reset();
    return true;
}

Status FeedbackGate::hold(const SequenceRun& run, PartId part, std::uint64_t key) {
    using Position = std::numeric_limits<std::int32_t>;
    if (!open_.contains(run.id)) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} waits for a token and is not open", part.value,
                          run.id.value);
    }
    const auto from = waiting_of_.lower_bound({run.id, Position::min()});
    const auto to = waiting_of_.upper_bound({run.id, Position::max()});
    if (std::distance(from, to) >= kMostWaiting) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} waits for tokens in {} parts already", part.value,
                          run.id.value, kMostWaiting);
    }
    if (waiting_of_.emplace(std::pair(run.id, run.position), key).second) return {};
    return make_error(StatusCode::data_loss,
                      "part {}: sequence {} waits for its token at {} already", part.value,
                      run.id.value, run.position);
}

Result<bool> FeedbackGate::pass(Part& part) {
    for (SequenceId id : part.releases) open_.erase(id);
    for (const SequenceOpen& item : part.opens) open_.try_emplace(item.id);
    const std::uint64_t key = next_++;
    std::size_t missing = 0;
    for (SequenceRun& run : part.runs) {
        if (!lacks_token(part, run) || fill(run)) continue;
        const Status held = hold(run, part.id, key);
        if (!held.ok()) {
            std::erase_if(waiting_of_, [&](const auto& entry) { return entry.second == key; });
            return held;
        }
        ++missing;
    }
    if (missing == 0) return true;
    waiting_[key] = {std::move(part), missing};
    return false;
}

Result<std::vector<Part>> FeedbackGate::take(const Retire& tokens) {
    std::vector<std::uint64_t> complete;
    for (const SampledRun& sampled : tokens.sampled) {
        if (sampled.tokens.size() != 1) {
            return make_error(StatusCode::data_loss, "part {} feeds back {} tokens of sequence {}",
                              tokens.part.value, sampled.tokens.size(), sampled.id.value);
        }
        const auto open = open_.find(sampled.id);
        if (open == open_.end()) continue;  // the head heard of it first, and ended the sequence
        open->second = Known{sampled.position, sampled.tokens.front()};
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
