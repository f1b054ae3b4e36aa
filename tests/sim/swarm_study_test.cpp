// Tests studies that are drawn from seeds, and what the default scheduler must reach in comparison
// with the others when the worker is left out and the head serves alone.
#include <set>
#include <string>

#include <molink/study.h>

#include "support/catch.h"

using namespace molink;

namespace {

StudyReport run(const StudyCase& study) {
    const auto report = run_study(study.cluster, study.workload, study.options);
    INFO(report.status().to_string());
    REQUIRE(report.has_value());
    INFO(report->failure);
    REQUIRE(report->failure.empty());
    return *report;
}

/// A part takes `base_us`, and `row_us` more for each row.
std::vector<ProfilePoint> line(double base_us, double row_us) {
    return {{1, base_us + row_us}, {512, base_us + 512 * row_us}};
}

/// A 160m model in 8 bits on one thread of a desktop; the worker is behind 30 Mbit/s and 50 ms.
StudyCase left_out() {
    StudyCase study;
    DeviceProfile device;
    device.name = "one thread";
    device.memory_gib = 3;
    device.decode = line(50, 31);
    device.prefill = line(20, 31);
    device.lm_head = line(700, 100);
    for (const char* name : {"head", "worker"}) {
        StudyNode node;
        node.name = name;
        node.device = device;
        study.cluster.nodes.push_back(node);
    }
    study.cluster.link = {3.75e6, 50'000, 0};
    study.cluster.max_running = 64;
    study.options.model = "160m";
    study.options.wire = "f32";
    study.workload.streams = 32;
    study.workload.count = 96;
    study.workload.prompt = {{0, 128}};
    study.workload.output = {{0, 64}};
    return study;
}

}  // namespace

TEST_CASE("equal seeds give equal studies, and other seeds give others") {
    std::set<std::uint64_t> digests;
    for (std::uint64_t seed : {1, 2, 3, 4}) {
        const StudyReport report = run(swarm_study(seed));
        REQUIRE(report.digest == run(swarm_study(seed)).digest);
        digests.insert(report.digest);
    }
    REQUIRE(digests.size() == 4);
}

TEST_CASE("seeds reach every kind of cluster and load") {
    std::set<std::size_t> nodes;
    std::set<std::string> kinds;
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        const StudyCase study = swarm_study(seed);
        nodes.insert(study.cluster.nodes.size());
        const StudyWorkload& load = study.workload;
        kinds.insert(load.poisson_per_s > 0     ? "poisson"
                     : load.streams > 0         ? "streams"
                     : load.burst == load.count ? "burst"
                                                : "bursts");
        if (!study.cluster.head_stage) kinds.insert("head apart");
        if (!study.cluster.hosts.empty()) kinds.insert("shared cores");
        if (!study.cluster.links.empty()) kinds.insert("unlike links");
        kinds.insert("lm head " + study.cluster.lm_head);
        REQUIRE(load.count >= 24);
        REQUIRE(load.count <= 96);
    }
    REQUIRE(nodes == std::set<std::size_t>{1, 2, 3, 4, 5, 6});
    REQUIRE(kinds.size() == 10);
}

TEST_CASE("a head that has left out its worker serves as fast under every scheduler") {
    StudyCase study = left_out();
    const StudyReport adaptive = run(study);
    REQUIRE(adaptive.stages.size() == 1);
    for (const char* name : {"single", "depth", "molink-paper"}) {
        INFO(name);
        study.options.scheduler = name;
        const StudyReport other = run(study);
        REQUIRE(adaptive.output_tokens_per_s >= 0.95 * other.output_tokens_per_s);
    }
}
