// Makes the output of a stage. A returned part is small: it carries only the rows whose logits are
// needed. Relies on the first stage, which knows the sequences, tokens and blocks of the part since
// the part passed it.
#include "stage/stage_output.h"

#include <utility>

namespace molink {

ReturnedPart make_returned(const PartPlan& plan, ActivationRows activations,
                           std::vector<StageTime> stage_times, std::vector<RowFault> faults) {
    return {plan.key,
            plan.kind(),
            spans_of(plan.rows),
            std::move(activations),
            std::move(stage_times),
            std::move(faults)};
}

void add_stage_time(StageOutput& output, bool returned, const StageTime& time) {
    auto& times =
        std::visit([](auto& part) -> std::vector<StageTime>& { return part.stage_times; }, output);
    if (!returned || times.empty()) {
        times.push_back(time);
        return;
    }
    times.front().compute_us += time.compute_us;
    times.front().wait_us += time.wait_us;
}

}  // namespace molink
