// See part_queue.h. The one place for the order in which a stage takes its parts: the compute
// thread and the simulator differ in when they ask, not in what they get. Counting in a row, and
// not shares of time, keeps the rule the same whatever a part costs.
#include "stage/part_queue.h"

#include <utility>

#include "base/limits.h"
#include "stage/part_return.h"

namespace molink {

void PartQueue::push(Part part, std::int64_t arrival_us) {
    auto& queue = is_urgent(part) ? urgent_ : prefill_;
    queue.push_back({std::move(part), arrival_us});
}

std::optional<PartQueue::Waiting> PartQueue::take() {
    const bool prefill_turn =
        !prefill_.empty() && (urgent_.empty() || urgent_in_a_row_ >= limits::kDecodesBeforePrefill);
    auto& queue = prefill_turn ? prefill_ : urgent_;
    if (queue.empty()) return std::nullopt;
    urgent_in_a_row_ = prefill_turn ? 0 : urgent_in_a_row_ + 1;
    std::optional<Waiting> taken = std::move(queue.front());
    queue.pop_front();
    return taken;
}

}  // namespace molink
