// The links and loads of the study, and the name of a measurement.
#include "cell.h"

#include <fmt/format.h>

namespace molink::bench {

std::string Cell::key() const {
    return fmt::format("{}|{}|{}|{}|{}|{}|{}", system.name, link.name, workload.name, scheduler,
                       transmit, step_tokens, round);
}

std::vector<LinkShape> link_shapes() {
    return {
        {"1000M-1ms", 1000, 1000, 1, 0},  {"100M-15ms", 100, 100, 15, 0},
        {"100M-30ms", 100, 100, 30, 0},   {"30M-50ms", 30, 30, 50, 0},
        {"100/10M-15ms", 100, 10, 15, 0}, {"100M-30ms-jitter", 100, 100, 30, 15},
        {"100M-10ms", 100, 100, 10, 0},   {"5M-30ms", 5, 5, 30, 0},
    };
}

std::vector<Workload> workloads() {
    return {
        {"1", 1, 0, 0},           {"8", 8, 0, 0},
        {"32", 32, 0, 0},         {"128", 128, 0, 0},
        {"mixed45", 16, 0.45, 0}, {"mixed75", 16, 0.75, 0},
        {"mixed1.2", 16, 0, 1.2}, {"mixed128", 128, 0, 0.2},
    };
}

}  // namespace molink::bench
