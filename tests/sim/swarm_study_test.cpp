// Studies drawn from seeds: the same seed makes the same study, and seeds reach every kind of
// cluster and load that policies are compared on.
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

}  // namespace

TEST_CASE("a seed makes one study, another seed another") {
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
