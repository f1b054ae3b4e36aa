#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <molink/request.h>
#include <molink/sim.h>

#include "base/random.h"

namespace molink::sim {

/// When a caller of the simulation submits a request and cancels it.
struct PlannedRequest {
    std::int64_t arrival_us = 0;
    std::int64_t cancel_after_us = -1;  ///< after its arrival; -1: never
};

/// Draws the arrivals and cancellations of a scenario, ordered by arrival.
std::vector<PlannedRequest> plan_requests(const SimScenario& scenario);

/// Draws requests. Equal seeds and equal sequences of calls give equal requests.
class RequestMaker {
public:
    /// `scenario` must outlive it.
    explicit RequestMaker(const SimScenario& scenario);

    /// `so_far`: prompt and output of a running request that the new one continues, or empty.
    GenerateRequest make(const std::vector<Token>& so_far);
    /// Draws whether the next request continues a running one.
    bool wants_follow_up() { return random_.uniform() < scenario_.workload.follow_up; }
    std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }

private:
    std::vector<Token> draw_prompt(const std::vector<Token>& so_far);
    std::vector<Token> draw_tokens(std::size_t count);
    void draw_sampling(SamplingParams& params);
    void draw_stops(GenerateRequest& request);
    std::int32_t between(std::int32_t low, std::int32_t high);

    const SimScenario& scenario_;
    Random random_;
    std::vector<std::vector<Token>> beginnings_;
};

}  // namespace molink::sim
