// Tests named situations in virtual time and scenario files, and that equal scenarios give runs
// that are equal in every event.
#include <utility>

#include <molink/sim.h>

#include "support/catch.h"

using namespace molink;

namespace {

SimReport run(const SimScenario& scenario, const SimPolicies& policies = {}) {
    const auto report = simulate(scenario, policies);
    INFO(report.status().to_string());
    REQUIRE(report.has_value());
    INFO(report->failure);
    REQUIRE(report->failure.empty());
    return *report;
}

/// A scenario whose plan uses every node, because it does not know how slow the links are.
SimScenario blind_plan() {
    SimScenario scenario;
    scenario.probe_links = false;
    return scenario;
}

SimScenario three_nodes() {
    SimScenario scenario = blind_plan();
    scenario.nodes = {SimNode{"head"}, SimNode{"a"}, SimNode{"b"}};
    scenario.workload.cancelled = 0;
    return scenario;
}

}  // namespace

TEST_CASE("equal scenarios give equal runs, and other seeds give others") {
    const SimReport first = run(swarm_scenario(11));
    const SimReport again = run(swarm_scenario(11));
    REQUIRE(first.digest == again.digest);
    REQUIRE(first.end_us == again.end_us);
    REQUIRE(first.counts.frames == again.counts.frames);
    REQUIRE(first.digest != run(swarm_scenario(12)).digest);
}

TEST_CASE("the number of nodes changes no token") {
    SimScenario scenario = blind_plan();
    scenario.nodes = {SimNode{"head"}};
    scenario.workload.cancelled = scenario.workload.follow_up = 0;
    const std::uint64_t tokens = run(scenario).counts.tokens;
    REQUIRE(tokens > 100);
    for (const char* name : {"a", "b", "c"}) {
        scenario.nodes.push_back(SimNode{name});
        REQUIRE(run(scenario).counts.tokens == tokens);
    }
}

TEST_CASE("a stall below the limit costs time and nothing else") {
    SimScenario scenario = three_nodes();
    scenario.faults = {{SimFaultKind::stall, 2'500'000, 8'000'000, "a", "b", 1},
                       {SimFaultKind::stall, 13'500'000, 4'000'000, "head", "a", 1}};
    const SimReport report = run(scenario);
    REQUIRE(report.counts.failed == 0);
    REQUIRE(report.counts.epoch_changes == 0);
}

TEST_CASE("a connection that is cut and comes back in time loses nothing") {
    SimScenario scenario = three_nodes();
    scenario.link.bytes_per_s = 60'000;
    scenario.hidden = 64;
    for (std::int64_t at = 2'100'000; at < 8'000'000; at += 300'000) {
        scenario.faults.push_back({SimFaultKind::cut, at, 50'000, "a", "b", 1});
    }
    const SimReport report = run(scenario);
    REQUIRE(report.counts.failed == 0);
    REQUIRE(report.counts.epoch_changes == 0);
}

TEST_CASE("a crashed worker ends the requests that it served and joins again") {
    SimScenario scenario = three_nodes();
    for (SimNode& node : scenario.nodes) node.decode_us = 10'000;
    scenario.faults = {{SimFaultKind::crash, 2'600'000, 1'000'000, "b", "", 1}};
    const SimReport report = run(scenario);
    REQUIRE(report.counts.failed > 0);
    REQUIRE(report.counts.epoch_changes == 1);
}

TEST_CASE("a worker that is started again takes its own place at once") {
    SimScenario scenario = three_nodes();
    scenario.workload.spread_us = 12'000'000;
    scenario.faults = {{SimFaultKind::vanish, 3'000'000, 500'000, "b", "", 1}};
    const SimReport report = run(scenario);
    REQUIRE(report.counts.epoch_changes == 1);
    REQUIRE(report.counts.refused <= 3);  // not only after the silence limit of 15 s
}

TEST_CASE("sequences that do not fit together take turns") {
    SimScenario scenario = three_nodes();
    for (SimNode& node : scenario.nodes) node.kv_blocks = 14;
    scenario.workload.max_prompt = 10;
    scenario.workload.min_output = 30;
    scenario.workload.max_output = 60;
    scenario.workload.spread_us = 0;
    const SimReport report = run(scenario);
    REQUIRE(report.counts.preemptions > 3);
    REQUIRE(report.counts.failed == 0);
}

TEST_CASE("a full queue refuses requests, and accepted ones do not suffer") {
    SimScenario scenario = three_nodes();
    scenario.max_running = 2;
    scenario.max_waiting = 3;
    scenario.workload.requests = 100;
    scenario.workload.spread_us = 100'000;
    const SimReport report = run(scenario);
    REQUIRE(report.counts.refused > 10);
    REQUIRE(report.counts.failed == 0);
}

TEST_CASE("every part of a scenario file is read") {
    const auto scenario = parse_scenario(R"({
        "seed": 7, "layers": 6, "hidden": 4, "scheduler": "depth-2", "transmit": "strict",
        "nodes": [{"name": "h", "decode_us": 50}, {"name": "w", "kv_blocks": 30}],
        "link": {"bytes_per_s": 1e6, "delay_us": 5000},
        "links": [{"from": "h", "to": "w", "model": {"delay_us": 1, "jitter_us": 2}}],
        "faults": [{"kind": "cut", "at_us": 3000000, "duration_us": 10, "node": "h",
                    "other": "w"}],
        "workload": {"requests": 30, "cancelled": 0.5}})");
    INFO(scenario.status().to_string());
    REQUIRE(scenario.has_value());
    REQUIRE(scenario->seed == 7);
    REQUIRE(scenario->nodes[1].kv_blocks == 30);
    REQUIRE(scenario->links[0].model.jitter_us == 2);
    REQUIRE(scenario->faults[0].kind == SimFaultKind::cut);
    REQUIRE(scenario->workload.requests == 30);
    run(*scenario);
}

TEST_CASE("an error in a scenario file is named") {
    const std::pair<const char*, const char*> cases[] = {
        {"{", "scenario"},
        {"[]", "scenario: is not an object"},
        {R"({"nodes": [{"name": "h"}, 7]})", "scenario: nodes[1] is not an object"},
        {R"({"sed": 1})", "sed is not a key"},
        {R"({"seed": "x"})", "seed is not an integer"},
        {R"({"layers": 1e3})", "layers is not an integer"},
        {R"({"layers": 99999999999})", "out of range"},
        {R"({"layers": 1})", "2 stages for 1 layers"},
        {R"({"nodes": []})", "0 nodes"},
        {R"({"nodes": [{"name": "h"}, {"name": "h"}]})", "'h' is empty or used twice"},
        {R"({"nodes": [{"name": "h"}], "local_stage": false})", "do not give 1 to"},
        {R"({"scheduler": "best"})", "scheduler is 'best'"},
        {R"({"transmit": "x"})", "transmit policy is called 'x'"},
        {R"({"faults": [{"kind": "flood"}]})", "faults[0].kind is 'flood'"},
        {R"({"faults": [{"kind": "crash", "node": "head"}]})", "only workers can crash"},
        {R"({"faults": [{"kind": "cut", "node": "head", "other": "x"}]})", "unknown or equal"},
        {R"({"links": [{"from": "head", "to": "x"}]})", "names an unknown node"},
        {R"({"link": {"delay_us": -1}})", "delay_us is -1"},
        {R"({"workload": {"max_prompt": 1000}})", "max_prompt + workload.max_output"},
        {R"({"workload": {"cancelled": 2}})", "a share of the workload is 2"},
    };
    for (const auto& [json, words] : cases) {
        const auto scenario = parse_scenario(json);
        INFO(json);
        REQUIRE_FALSE(scenario.has_value());
        INFO(scenario.error().message());
        REQUIRE(scenario.error().code() == StatusCode::invalid_argument);
        REQUIRE(scenario.error().message().find(words) != std::string::npos);
    }
}

TEST_CASE("stages have the order that a scenario names") {
    SimScenario scenario = three_nodes();
    for (const std::vector<std::string>& order :
         {std::vector<std::string>{"a", "head", "b"}, {"a", "b", "head"}, {"head", "b", "a"}}) {
        scenario.order = order;
        const SimReport report = run(scenario);
        REQUIRE(report.counts.completions > 0);
        REQUIRE(report.metrics.stages.size() == 3);
    }
    scenario.order = {"a", "b"};
    REQUIRE_FALSE(check_scenario(scenario).ok());
    scenario.order = {"a", "b", "b"};
    REQUIRE_FALSE(check_scenario(scenario).ok());
}

TEST_CASE("drafts change the number of parts, but no token") {
    SimScenario scenario = three_nodes();
    scenario.workload.follow_up = 0;
    const SimReport plain = run(scenario);
    scenario.drafts = 1;
    const SimReport drafted = run(scenario);
    REQUIRE(drafted.counts.drafts > 100);
    REQUIRE(drafted.counts.tokens == plain.counts.tokens);
    REQUIRE(drafted.counts.parts < plain.counts.parts);
}
