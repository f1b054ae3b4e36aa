// Decides in which order a stage runs its parts. The compute thread and the simulated stage both
// use this queue. It counts parts in a row and not shares of time, so that the order does not
// depend on the time of a part.
#include "stage/part_queue.h"

#include <utility>

#include "base/limits.h"

namespace molink {

void PartQueue::push(StageInput input, std::int64_t arrival_us) {
    auto& queue = is_urgent(input) ? urgent_ : prefill_;
    queue.push_back({std::move(input), arrival_us});
}

std::optional<PartQueue::Waiting> PartQueue::pop() {
    const bool prefill_turn =
        !prefill_.empty() && (urgent_.empty() || urgent_in_a_row_ >= limits::kDecodesBeforePrefill);
    auto& queue = prefill_turn ? prefill_ : urgent_;
    if (queue.empty()) return std::nullopt;
    urgent_in_a_row_ = prefill_turn ? 0 : urgent_in_a_row_ + 1;
    std::optional<Waiting> next = std::move(queue.front());
    queue.pop_front();
    return next;
}

}  // namespace molink
