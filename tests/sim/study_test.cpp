// Tests studies whose result is known in closed form, that equal studies give equal results, and
// that errors in studies and their files are reported.
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include <molink/study.h>

#include "sim/sim_stage.h"
#include "support/catch.h"

using namespace molink;

namespace {

/// A device that takes the same time for every part.
DeviceProfile constant(double decode_layer_us, double prefill_layer_us) {
    DeviceProfile device;
    device.name = "constant";
    device.memory_gib = 24;
    device.decode = {{1, decode_layer_us}};
    device.prefill = {{1, prefill_layer_us}};
    return device;
}

StudyCluster ring(int nodes, const DeviceProfile& device, const LinkModel& link) {
    StudyCluster cluster;
    for (int i = 0; i < nodes; ++i) {
        StudyNode node;
        node.name = "node-" + std::to_string(i);
        node.device = device;
        cluster.nodes.push_back(node);
    }
    cluster.link = link;
    cluster.split = "even";  // over all nodes, however slow the links are
    return cluster;
}

StudyWorkload burst(std::int32_t count, double prompt, double output) {
    StudyWorkload workload;
    workload.burst = count;
    workload.count = count;
    workload.prompt = {{0, prompt}};
    workload.output = {{0, output}};
    return workload;
}

/// Uses as many micro-batches as there are stages, as the closed forms assume.
StudyOptions depth() {
    StudyOptions options;
    options.scheduler = "depth";
    return options;
}

StudyReport run(const StudyCluster& cluster, const StudyWorkload& workload,
                const StudyOptions& options = {}) {
    const auto report = run_study(cluster, workload, options);
    INFO(report.status().to_string());
    REQUIRE(report.has_value());
    INFO(report->failure);
    REQUIRE(report->failure.empty());
    return *report;
}

const LinkUse& link_of(const StudyReport& report, const std::string& from, const std::string& to) {
    for (const LinkUse& link : report.links) {
        if (link.from == from && link.to == to) return link;
    }
    FAIL("no link from " << from << " to " << to);
    return report.links.front();
}

}  // namespace

TEST_CASE("one stream takes the sum of stages, delays and transfers per token") {
    const LinkModel link{12.5e6, 10'000, 0};
    for (int nodes : {2, 3, 5}) {
        INFO(nodes << " nodes");
        const StudyReport report =
            run(ring(nodes, constant(100, 100), link), burst(1, 16, 100), depth());
        const LinkUse& hop = link_of(report, "node-0", "node-1");
        const std::uint64_t row = hop.lane_bytes[std::size_t(Lane::decode)] / 99;
        REQUIRE(row > 8192);
        REQUIRE(row < 8192 + 400);
        const double transfer = static_cast<double>(row) / 12.5;
        const double expected = 32 * 100 + nodes * 10'000 + (nodes - 1) * transfer;
        // The token's way back is a short frame; times are whole microseconds.
        REQUIRE(report.tpot.p50_us > expected - nodes);
        REQUIRE(report.tpot.p50_us < expected * 1.005);  // frames are paced
        REQUIRE(report.ttft.count == 1);
        REQUIRE(report.gap.count == 99);
        REQUIRE(report.max_micro_batches == 1);
    }
}

TEST_CASE("a head without a stage is not on the path of a token") {
    constexpr std::int64_t kDelay = 10'000, kFar = 15'000;  // between stages; to and from the head
    StudyCluster cluster = ring(4, constant(100, 100), {12.5e6, kDelay, 0});
    cluster.head_stage = false;
    for (const char* node : {"node-1", "node-2", "node-3"}) {
        cluster.links.push_back({"node-0", node, {12.5e6, kFar, 0}});
        cluster.links.push_back({node, "node-0", {12.5e6, kFar, 0}});
    }
    StudyWorkload one = burst(1, 16, 100);
    const double row = 8192 + 250;
    const double work = 32 * 100 + 2 * row / 12.5;
    for (bool direct : {true, false}) {
        INFO("direct feedback " << direct);
        cluster.direct_feedback = direct;
        const StudyReport report = run(cluster, one);
        const double hops = direct ? 3 * kDelay : 2 * kDelay + 2 * kFar;
        REQUIRE(report.tpot.p50_us > (work + hops) * 0.98);
        REQUIRE(report.tpot.p50_us < (work + hops) * 1.03);  // the first token crosses kFar
    }
}

TEST_CASE("with the LM head on the first stage one row comes back for every token") {
    StudyCluster cluster = ring(3, constant(100, 100), {12.5e6, 10'000, 0});
    for (StudyNode& node : cluster.nodes) node.device.lm_head = {{1, 3000}};
    StudyOptions options;
    options.spec = *study_model("llama-2-7b");
    options.spec->tied_embeddings = true;
    cluster.split = "even";
    const StudyReport last = run(cluster, burst(1, 400, 100), options);
    cluster.lm_head = "first";
    const StudyReport first = run(cluster, burst(1, 400, 100), options);
    REQUIRE(first.token_digest == last.token_digest);
    const LinkUse& back = link_of(first, "node-2", "node-0");
    const std::uint64_t bytes = back.lane_bytes[std::size_t(Lane::decode)];
    REQUIRE(bytes > 100 * 8192);
    REQUIRE(bytes < 100 * (8192 + 500));
    REQUIRE(back.lane_bytes[std::size_t(Lane::prefill)] == 0);
    const double transfer = static_cast<double>(bytes) / 100 / 12.5;
    REQUIRE(first.tpot.p50_us > last.tpot.p50_us + transfer * 0.9);
    REQUIRE(first.tpot.p50_us < last.tpot.p50_us + transfer * 1.1);
    REQUIRE(first.stages[0].busy > last.stages[0].busy * 2);
    cluster.lm_head = "first";
    options.spec->tied_embeddings = false;
    REQUIRE(run_study(cluster, burst(1, 4, 4), options).status().code() ==
            StatusCode::invalid_argument);
}

TEST_CASE("a saturated link carries its rate and no more") {
    const LinkModel link{1.25e6, 1'000, 0};
    const StudyReport report = run(ring(2, constant(1, 1), link), burst(32, 1, 60));
    const LinkUse& hop = link_of(report, "node-0", "node-1");
    REQUIRE(hop.busy > 0.9);
    REQUIRE(hop.busy < 1.001);
    REQUIRE(report.output_tokens == 32 * 60);
    const double most = 1.25e6 / 8192;
    REQUIRE(report.output_tokens_per_s < most);
    REQUIRE(report.output_tokens_per_s > most * 0.85);
}

TEST_CASE("a saturated stage computes without a pause") {
    const StudyReport report =
        run(ring(2, constant(500, 500), LinkModel{1e9, 100, 0}), burst(64, 1, 50), depth());
    REQUIRE(report.stages.size() == 2);
    for (const StageUse& stage : report.stages) {
        REQUIRE(stage.layers.size() == 16);
        REQUIRE(stage.busy > 0.9);
        REQUIRE(stage.busy < 1.001);
    }
    // A part of half of the sequences takes 16 layers of 500 us on each stage.
    REQUIRE(report.tpot.p50_us > 2 * 8'000);
    REQUIRE(report.tpot.p50_us < 2 * 8'000 * 1.2);
}

TEST_CASE("a scheduler sees the rows of the model, not what the simulator moves") {
    class Looks final : public Scheduler {
    public:
        explicit Looks(StageView& seen) : seen_(seen) {}
        std::string_view name() const override { return inner_->name(); }
        void plan(const SchedulerView& view, StepPlan& plan) override {
            if (!view.stages.empty()) seen_ = view.stages.front();
            inner_->plan(view, plan);
        }
        void observe(const PartReport& report) override { inner_->observe(report); }

    private:
        std::unique_ptr<Scheduler> inner_ = make_depth_scheduler({});
        StageView& seen_;
    };
    StageView seen;
    SimPolicies policies;
    policies.scheduler = [&] { return std::make_unique<Looks>(seen); };
    StudyOptions options;
    for (const auto& [wire, row_bytes] : {std::pair{"f16", 8192}, {"f32", 16384}, {"int8", 4376}}) {
        options.wire = wire;
        const auto report =
            run_study(ring(2, constant(1, 1), {}), burst(1, 1, 2), options, policies);
        REQUIRE(report.has_value());
        REQUIRE(seen.hidden == 4096);
        REQUIRE(seen.row_bytes == row_bytes);
    }
}

TEST_CASE("shared cores give slices in the order they are asked for") {
    sim::SharedCores cores({"box", 2});
    REQUIRE(cores.compute(0, 3'000) == 3'000);
    REQUIRE(cores.compute(0, 2'000) == 2'000);
    REQUIRE(cores.compute(0, 3'000) == 5'000);
    REQUIRE(cores.compute(2'500, 3'000) == 6'000);
    REQUIRE(cores.compute(10'000, 500) == 10'500);
    REQUIRE(cores.hand_on(20'000) == 20'000);
}

TEST_CASE("cores that share memory slow each other down, and handing a part on takes one of them") {
    sim::SharedCores cores({"box", 3, 400, 1.5});
    REQUIRE(cores.compute(0, 1'000) == 1'000);
    REQUIRE(cores.compute(0, 1'000) == 1'250);  // beside one of two others
    REQUIRE(cores.compute(0, 1'000) == 1'500);  // beside both
    REQUIRE(cores.hand_on(1'000) == 1'400);
    REQUIRE(cores.hand_on(1'000) == 1'650);  // no core is free before
    REQUIRE(cores.compute(1'650, 1'000) == 2'650);
    // A stream's part is handed on twice for each token.
    StudyCluster cluster = ring(2, constant(100, 100), LinkModel{1e9, 100, 0});
    for (StudyNode& node : cluster.nodes) node.host = "box";
    cluster.hosts = {{"box", 2}};
    const StudyReport plain = run(cluster, burst(1, 4, 100));
    cluster.hosts[0].part_us = 400;
    const StudyReport handed = run(cluster, burst(1, 4, 100));
    REQUIRE(handed.tpot.p50_us == Approx(plain.tpot.p50_us + 800).epsilon(0.02));
    for (const auto& [part_us, contention] : {std::pair(-1.0, 1.0), {0.0, 0.5}, {NAN, 1.0}}) {
        cluster.hosts = {{"box", 2, part_us, contention}};
        REQUIRE(run_study(cluster, burst(1, 1, 1), {}).status().code() ==
                StatusCode::invalid_argument);
    }
}

TEST_CASE("a slice of a prompt on one stage does not keep another stage from their shared core") {
    StudyCluster cluster = ring(2, constant(100, 20'000), LinkModel{1e9, 100, 0});
    for (StudyNode& node : cluster.nodes) node.host = "box";
    StudyWorkload workload;
    workload.trace = {{0, 4, 400}, {1, 512, 1}};
    const StudyReport report = run(cluster, workload);
    // A slice computes for 320 ms on each stage. The decode part in front of the busy one waits for
    // that; nothing waits for the sum of both stages and both slices.
    REQUIRE(report.gap.max_us > 300'000);
    REQUIRE(report.gap.max_us < 1'000'000);
}

TEST_CASE("stages of one host share its cores") {
    const auto tokens_per_s = [](std::int32_t cores) {
        StudyCluster cluster = ring(3, constant(500, 500), LinkModel{1e9, 100, 0});
        for (StudyNode& node : cluster.nodes) node.host = "box";
        if (cores > 1) cluster.hosts = {{"box", cores}};
        const StudyReport report = run(cluster, burst(64, 1, 50), depth());
        for (const StageUse& stage : report.stages) REQUIRE(stage.busy > 0.6);
        return report.output_tokens_per_s;
    };
    const double one = tokens_per_s(1);
    REQUIRE(tokens_per_s(2) == Approx(2 * one).epsilon(0.1));
    REQUIRE(tokens_per_s(3) == Approx(3 * one).epsilon(0.1));
    StudyCluster none = ring(2, constant(1, 1), {});
    none.hosts = {{"box", 0}};
    REQUIRE_FALSE(run_study(none, burst(1, 1, 1), {}).has_value());
}

TEST_CASE("a study that is stopped keeps the times of its tokens") {
    StudyWorkload workload = burst(2, 4, 4000);
    workload.stop_s = 3;
    StudyOptions options;
    options.token_times = true;
    const StudyReport report =
        run(ring(2, constant(100, 100), {12.5e6, 10'000, 0}), workload, options);
    REQUIRE(report.token_times.size() == 2);
    REQUIRE(report.seconds <= 3);
    for (const StudyTokens& request : report.token_times) {
        REQUIRE(request.arrival_us == 0);
        REQUIRE(request.token_us.size() > 50);
        REQUIRE(request.token_us.size() < 4000);
        REQUIRE(request.token_us.back() > 2'900'000);
        REQUIRE(request.token_us.back() <= 3'000'000);
    }
    options.token_times = false;
    REQUIRE(run(ring(2, constant(1, 1), {}), workload, options).token_times.empty());
}

TEST_CASE("equal studies are equal, and policies change no token") {
    const StudyCluster cluster = ring(3, *device_profile("rtx-4090"), {125e6, 2'000, 500});
    StudyWorkload workload = burst(1, 1, 1);
    workload.poisson_per_s = 5;
    workload.count = 40;
    workload.prompt = {{0, 20}, {1, 900}};
    workload.output = {{0, 5}, {1, 60}};
    const StudyReport first = run(cluster, workload);
    const StudyReport again = run(cluster, workload);
    REQUIRE(first.digest == again.digest);
    REQUIRE(first.frames == again.frames);
    StudyOptions options;
    for (const char* scheduler : {"depth", "depth-1", "depth-6", "molink-paper"}) {
        for (const char* transmit : {"fair", "strict", "fifo"}) {
            options.scheduler = scheduler;
            options.transmit = transmit;
            REQUIRE(run(cluster, workload, options).token_digest == first.token_digest);
        }
    }
    workload.seed = 2;
    REQUIRE(run(cluster, workload).token_digest != first.token_digest);
}

TEST_CASE("activations count for the bytes of their format") {
    const StudyCluster cluster = ring(2, constant(10, 10), {125e6, 1'000, 0});
    StudyOptions options;
    const auto bytes = [&](const char* wire) {
        options.wire = wire;
        const StudyReport report = run(cluster, burst(4, 1000, 2), options);
        return link_of(report, "node-0", "node-1").lane_bytes[std::size_t(Lane::prefill)];
    };
    const std::uint64_t half = bytes("f16");
    REQUIRE(half > 4 * 1000 * 8192);
    REQUIRE(half < 4 * 1000 * 8192 + 100'000);
    REQUIRE(bytes("f32") > half + 4 * 1000 * 8192 - 1);
    REQUIRE(bytes("f32") < half + 4 * 1000 * 8192 + 100'000);
    REQUIRE(bytes("f16x2") == bytes("f32"));
}

TEST_CASE("weights decide what fits and how long a layer takes") {
    const LinkModel link{1e9, 100, 0};
    const StudyCluster two = ring(2, *device_profile("rtx-4090"), link);
    StudyOptions options;
    options.model = "llama-2-70b";
    const auto full = run_study(two, burst(1, 16, 4), options);
    REQUIRE_FALSE(full.has_value());
    REQUIRE(full.error().message().find("available 43.2") != std::string::npos);
    options.weights = "q4";
    const double slow = run(two, burst(1, 16, 20), options).tpot.p50_us;
    // 80 layers of 855.7 million parameters at 4.5 bits and 0.8 of 1008 GB/s, 20 us each, and the
    // LM head in half precision.
    const double expected = 80 * (855.7e6 * 4.5 / 8 / 806.4e3 + 20) + 8192 * 64e3 / 806.4e3 + 20;
    REQUIRE(slow > expected * 0.99);
    REQUIRE(slow < expected * 1.05);
}

TEST_CASE("arrivals follow the workload") {
    const StudyCluster cluster = ring(1, constant(1, 1), {});
    StudyWorkload workload = burst(10, 5, 3);
    workload.count = 35;
    workload.burst_every_s = 2;
    REQUIRE(run(cluster, workload).seconds > 6);
    REQUIRE(run(cluster, workload).seconds < 6.1);
    workload.poisson_per_s = 10;
    workload.count = 2000;
    const StudyReport poisson = run(cluster, workload);
    REQUIRE(poisson.seconds > 2000 / 10 * 0.93);
    REQUIRE(poisson.seconds < 2000 / 10 * 1.07);
    const auto trace =
        parse_study_trace("arrival_s,prompt_tokens,output_tokens\n5,100,7\r\n6.5,20,9\n");
    REQUIRE(trace.has_value());
    workload.trace = *trace;
    const StudyReport traced = run(cluster, workload);
    REQUIRE(traced.output_tokens == 16);
    REQUIRE(traced.prompt_tokens == 120);
    REQUIRE(traced.seconds > 1.5);
    REQUIRE(traced.seconds < 1.6);
}

TEST_CASE("a timeline has every node and ends at its limit") {
    StudyOptions options;
    options.trace_limit_s = 0.5;
    const StudyReport report =
        run(ring(3, constant(100, 100), {12.5e6, 1'000, 0}), burst(8, 100, 100), options);
    REQUIRE(report.seconds > 1);
    REQUIRE(report.timeline.size() > 100);
    for (const TimelineEvent& event : report.timeline) {
        REQUIRE(event.begin_us <= 500'000);
        REQUIRE(event.begin_us <= event.end_us);
    }
    const auto timeline = nlohmann::json::parse(study_timeline_json(report));
    std::set<std::string> names;
    for (const auto& event : timeline.at("traceEvents")) {
        if (event.at("ph") == "M") names.insert(event.at("args").at("name"));
    }
    for (const char* name : {"node-0", "node-1", "node-2", "stage", "to node-1", "requests"}) {
        INFO(name);
        REQUIRE(names.contains(name));
    }
    const auto studies = nlohmann::json::parse(study_json({report})).at("studies");
    REQUIRE(studies.at(0).at("output_tokens") == 800);
    REQUIRE(studies.at(0).at("stages").size() == 3);
}

TEST_CASE("errors in study files name the key") {
    const auto cluster = [](const std::string& json, const std::string& word) {
        const auto parsed = parse_study_cluster(json);
        INFO(json);
        REQUIRE_FALSE(parsed.has_value());
        INFO(parsed.error().message());
        REQUIRE(parsed.error().message().find(word) != std::string::npos);
    };
    cluster("[]", "object");
    cluster(R"({"nodes": [{"name": "a"}]})", "nodes[0].device");
    cluster(R"({"nodes": [{"name": "a", "device": "rtx-9999"}]})", "rtx-9999");
    cluster(R"({"nodes": [{"name": "a", "device": {"tflop": 1}}]})", "nodes[0].device.tflop");
    cluster(R"({"nodes": [{"name": "a", "device": {"decode_us": [[1]]}}]})", "decode_us");
    cluster(R"({"nodes": [{"name": "a", "device": "a100", "layers": [4, 4]}]})", "layers");
    cluster(R"({"link": {"mbit": 5}})", "link.mbit");
    cluster(R"({"link": {"delay_ms": -1}})", "link.delay_ms");
    cluster(R"({"max_running": 100000})", "max_running");
    const auto workload = [](const std::string& json, const std::string& word) {
        const auto parsed = parse_study_workload(json);
        INFO(json);
        REQUIRE_FALSE(parsed.has_value());
        INFO(parsed.error().message());
        REQUIRE(parsed.error().message().find(word) != std::string::npos);
    };
    workload("{}", "arrivals");
    workload(R"({"arrivals": {"poisson": 1, "burst": 2}})", "exactly one");
    workload(R"({"arrivals": {"poisson": -1}})", "poisson");
    workload(R"({"arrivals": {"poisson": 1}, "count": 0})", "count");
    workload(R"({"arrivals": {"poisson": 1}, "prompt_tokens": 0})", "prompt_tokens");
    workload(R"({"arrivals": {"poisson": 1}, "prompt_tokens": {"uniform": [9, 3]}})",
             "prompt_tokens");
    workload(R"({"arrivals": {"poisson": 1}, "output_tokens": {"even": 3}})", "output_tokens.even");
    REQUIRE_FALSE(parse_study_trace("a,b\n").has_value());
    const auto line = parse_study_trace("arrival_s,prompt_tokens,output_tokens\n1,2,3\n1,x,3\n");
    REQUIRE(line.error().message().find("line 3") != std::string::npos);
    REQUIRE_FALSE(parse_study_model(R"({"layers": 2, "hidden": 10, "q_heads": 3})").has_value());
}

TEST_CASE("studies that cannot run say why") {
    StudyCluster cluster = ring(2, constant(1, 1), {});
    StudyOptions options;
    const auto refused = [&](const std::string& word) {
        const auto report = run_study(cluster, burst(1, 4, 4), options);
        REQUIRE_FALSE(report.has_value());
        INFO(report.error().message());
        REQUIRE(report.error().message().find(word) != std::string::npos);
    };
    options.scheduler = "best";
    refused("best");
    options = {};
    options.weights = "q3";
    refused("q3");
    options = {};
    options.model = "gpt";
    refused("gpt");
    options = {};
    cluster.nodes[1].device.decode = {{4, 1}, {2, 1}};
    refused("node-1");
    cluster.nodes[1].device = DeviceProfile{};
    refused("roofline");
}
