#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <molink/request.h>
#include <molink/sim.h>

#include "base/random.h"

namespace molink::sim {

/// One request as a caller of the simulation makes it.
struct PlannedRequest {
    std::int64_t arrival_us = 0;
    std::int64_t cancel_after_us = -1;  ///< after its arrival; -1: never
};

/// Arrivals and cancellations of a scenario, by time.
std::vector<PlannedRequest> plan_requests(const SimScenario& scenario);

/// Draws requests; equal seeds and histories give equal ones.
class RequestMaker {
public:
    explicit RequestMaker(const SimScenario& scenario);

    /// `so_far`: prompt and output of a running request to go on from, or empty.
    GenerateRequest make(const std::vector<Token>& so_far);
    /// Whether the next request wants something to go on from.
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
