// Schedulers by name, and options that they refuse.
#include <molink/scheduler.h>

#include "support/catch.h"

using namespace molink;

TEST_CASE("every name makes a scheduler of that name") {
    for (const std::string_view name : scheduler_names()) {
        auto made = make_scheduler(name);
        REQUIRE(made.has_value());
        REQUIRE((*made)->name() == name);
    }
}

TEST_CASE("unknown names and unsupported options are refused with a reason") {
    const auto message = [](std::string_view name, const SchedulerOptions& options) {
        const auto made = make_scheduler(name, options);
        REQUIRE_FALSE(made.has_value());
        REQUIRE(made.error().code() == StatusCode::invalid_argument);
        return made.error().message();
    };
    REQUIRE(message("best", {}) ==
            "no scheduler is called 'best'; known: single, depth, molink-paper, adaptive");
    SchedulerOptions options;
    options.step_tokens = 64;
    REQUIRE(message("adaptive", options) ==
            "scheduler 'adaptive' with step_tokens 64: it has no fixed budget");
    options = {};
    options.latency_goal_us = 5;
    REQUIRE(message("depth", options) == "scheduler 'depth' knows no goals; 'adaptive' does");
    options.latency_goal_us = -5;
    REQUIRE(message("adaptive", options) == "latency_goal_us is -5; 0 (none) or more is permitted");
}
