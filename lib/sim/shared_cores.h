#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <molink/study.h>

namespace molink::sim {

/// The cores that the stages of one host share. A stage reserves the core that is free first for
/// one slice of time, so stages take turns like threads under a fair scheduler. Thread: one.
class SharedCores {
public:
    static constexpr std::int64_t kSliceUs = 3'000;  ///< as Linux grants by default

    explicit SharedCores(const StudyHost& host)
        : host_(host), free_us_(static_cast<std::size_t>(host.cores), 0) {}

    std::int32_t count() const { return host_.cores; }

    /// Reserves a core for `slice_us` of computing. Returns when the computing ends. The more other
    /// cores are busy, the longer it takes: up to StudyHost::contention times `slice_us`.
    std::int64_t compute(std::int64_t now_us, std::int64_t slice_us) {
        std::int64_t& core = first_free();
        const std::int64_t begin_us = std::max(core, now_us);
        const auto busy = static_cast<double>(
            std::count_if(free_us_.begin(), free_us_.end(),
                          [&](std::int64_t free_us) { return free_us > begin_us; }));
        const double others = std::max<double>(static_cast<double>(free_us_.size()) - 1, 1);
        const double stretch = 1 + (host_.contention - 1) * busy / others;
        core = begin_us + static_cast<std::int64_t>(static_cast<double>(slice_us) * stretch);
        return core;
    }

    /// Reserves a core for handing on a part that is ready at `ready_us`. Returns when that ends.
    std::int64_t hand_on(std::int64_t ready_us) {
        if (host_.part_us <= 0) return ready_us;
        std::int64_t& core = first_free();
        core = std::max(core, ready_us) + static_cast<std::int64_t>(host_.part_us);
        return core;
    }

private:
    std::int64_t& first_free() { return *std::min_element(free_us_.begin(), free_us_.end()); }

    StudyHost host_;
    std::vector<std::int64_t> free_us_;  // [cores]
};

}  // namespace molink::sim
