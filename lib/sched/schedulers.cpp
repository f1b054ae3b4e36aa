// The built-in schedulers by name: what programs, the C interface and the
// simulator choose from, and the one place where a goal or budget that a
// policy does not know is refused.
#include <cmath>

#include <molink/scheduler.h>

#include "base/error.h"

namespace molink {
namespace {

constexpr std::string_view kNames[] = {"single", "depth", "molink-paper", "adaptive"};

Status check(std::string_view name, const SchedulerOptions& options) {
    const bool adaptive = name == "adaptive";
    if (options.step_tokens < 0 || (adaptive && options.step_tokens > 0)) {
        return invalid_argument("scheduler '{}' with step_tokens {}: {}", name, options.step_tokens,
                                adaptive ? "it has no fixed budget" : "0 or more are permitted");
    }
    const bool goals = options.latency_goal_us != 0 || options.throughput_goal != 0;
    if (goals && !adaptive) {
        return invalid_argument("scheduler '{}' knows no goals; 'adaptive' does", name);
    }
    if (options.latency_goal_us < 0) {
        return invalid_argument("latency_goal_us is {}; 0 (none) or more is permitted",
                                options.latency_goal_us);
    }
    if (!(options.throughput_goal >= 0) || !std::isfinite(options.throughput_goal)) {
        return invalid_argument("throughput_goal is {}; 0 (none) or more is permitted",
                                options.throughput_goal);
    }
    return {};
}

}  // namespace

std::span<const std::string_view> scheduler_names() {
    return kNames;
}

Result<std::unique_ptr<Scheduler>> make_scheduler(std::string_view name,
                                                  const SchedulerOptions& options) {
    MOLINK_RETURN_IF_ERROR(check(name, options));
    if (name == "single") return make_depth_scheduler({1, options.step_tokens});
    if (name == "depth") return make_depth_scheduler({0, options.step_tokens});
    if (name == "molink-paper") {
        PaperSchedulerOptions paper;
        paper.step_tokens = options.step_tokens;
        return make_paper_scheduler(paper);
    }
    if (name == "adaptive") {
        AdaptiveSchedulerOptions adaptive;
        adaptive.latency_goal_us = options.latency_goal_us;
        adaptive.throughput_goal = options.throughput_goal;
        return make_adaptive_scheduler(adaptive);
    }
    return invalid_argument("no scheduler is called '{}'; known: {}", name,
                            fmt::join(kNames, ", "));
}

}  // namespace molink
