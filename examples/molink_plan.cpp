// molink-plan: shows the split of the layers and its predicted speed before anything is loaded. The
// input is a file that describes a cluster, or the nodes that join. Exit status: 0 success, 1 no
// plan is possible, 2 wrong flags or input, 3 nodes are missing.
#include <cstdio>

#include <fmt/format.h>

#include <molink/engine.h>

#include "common/console.h"
#include "common/flag_sources.h"
#include "common/head_flags.h"
#include "plan/cluster_file.h"
#include "plan/plan_table.h"

namespace molink::examples {
namespace {

struct PlanFlags {
    HeadFlags head;
    std::string cluster;
    bool json = false;
};

int fail(const Status& status) {
    say(fmt::format("molink-plan: {}\n", status.message()));
    switch (status.code()) {
        case StatusCode::invalid_argument:
        case StatusCode::not_found: return 2;
        case StatusCode::deadline_exceeded: return 3;
        default: return 1;
    }
}

void add_flags(CLI::App& app, PlanFlags& flags) {
    add_node_flags(app, flags.head.node);
    app.add_option("--cluster", flags.cluster, "plan for the cluster of this JSON file");
    app.add_option("--nodes", flags.head.stages,
                   "plan for this number of nodes, which join at --listen; includes the devices of "
                   "this process")
        ->capture_default_str();
    app.add_flag("--no-local-stage", flags.head.no_local_stage, "hold no layers on this node");
    app.add_option("--objective", flags.head.objective, "goal of the split: throughput or latency")
        ->capture_default_str();
    app.add_option("--partitioner", flags.head.partitioner, "partitioner: cost or even")
        ->capture_default_str();
    app.add_option("--lm-head", flags.head.lm_head,
                   "stage with the LM head: auto, last or, with tied embeddings, first")
        ->capture_default_str();
    app.add_option("--running", flags.head.max_running, "number of running sequences")
        ->capture_default_str();
    app.add_option("--prompt", flags.head.expected_prompt, "expected number of tokens of a prompt")
        ->capture_default_str();
    app.add_option("--output", flags.head.expected_output, "expected number of tokens of an answer")
        ->capture_default_str();
    app.add_option("--wire", flags.head.wire,
                   "type of activations on links: f32, f16, bf16 or int8")
        ->capture_default_str();
    app.add_option("--max-context", flags.head.max_context,
                   "maximum number of positions per sequence; 0: that of the model");
    app.add_option("--wait", flags.head.wait_s, "seconds to wait for the nodes")
        ->capture_default_str();
    app.add_option("--address-file", flags.head.address_file,
                   "write the address that workers join to this file");
    app.add_flag("--json", flags.json, "write one JSON object instead of a table");
}

Result<EngineOptions> make_options(PlanFlags& flags) {
    // With --cluster, the file names the model.
    if (!flags.cluster.empty()) flags.head.node.model = flags.cluster;
    EngineOptions options;
    Status applied = apply_head_flags(flags.head, options);
    if (!applied.ok()) return applied;
    for (auto [name, value] : {std::pair("--prompt", flags.head.expected_prompt),
                               {"--output", flags.head.expected_output}}) {
        if (value >= 1 && value <= 1'000'000) continue;
        return Status(StatusCode::invalid_argument,
                      fmt::format("{} is {}; 1 to 1000000 are permitted", name, value));
    }
    options.plan_only = true;
    return options;
}

Result<PartitionReport> plan_file(const PlanFlags& flags, EngineOptions options) {
    const std::unique_ptr<Partitioner> partitioner = std::move(options.partitioner);
    auto input = read_cluster_file(flags.cluster, std::move(options));
    if (!input) return input.error();
    auto plan = partitioner->partition(*input);
    if (!plan) return plan.error();
    return PartitionReport{std::move(*input), std::move(*plan)};
}

Result<PartitionReport> plan_nodes(const PlanFlags& flags, EngineOptions options) {
    auto engine = Engine::open(std::move(options));
    if (!engine) return engine.error();
    say(fmt::format("molink-plan: workers join at {}\n", (*engine)->address()));
    Status status = write_address(flags.head, **engine);
    if (!status.ok()) return status;
    status = wait_with_progress(**engine, flags.head.wait_s);
    PartitionReport report = (*engine)->partition();
    const Status closed = (*engine)->close();
    if (status.ok()) status = closed;
    if (!status.ok()) return status;
    return report;
}

int run(int argc, char** argv) {
    CLI::App app{"Shows the split of a model over machines before anything is loaded."};
    app.footer(
        "Examples: molink-plan --cluster cluster.json\n"
        "          molink-plan --model DIR --listen tcp://127.0.0.1:7100 --nodes 3");
    PlanFlags flags;
    add_flags(app, flags);
    add_flag_sources(app);
    if (const auto status = parse_flags(app, argc, argv)) return *status;
    auto options = make_options(flags);
    if (!options) return fail(options.error());
    ConsoleLog log("molink-plan");
    options->log = &log;
    options->log_level = flags.head.node.verbose ? LogLevel::info : LogLevel::error;
    catch_interrupts();
    auto report = flags.cluster.empty() ? plan_nodes(flags, std::move(*options))
                                        : plan_file(flags, std::move(*options));
    if (!report) return fail(report.error());
    fmt::print("{}", flags.json ? plan_json(*report) : plan_table(*report));
    return 0;
}

}  // namespace
}  // namespace molink::examples

int main(int argc, char** argv) {
    return molink::examples::run(argc, argv);
}
