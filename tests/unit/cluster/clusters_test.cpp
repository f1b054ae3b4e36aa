// Cluster policies: who may join, when a cluster is complete, and the order of its nodes.
#include <molink/cluster.h>

#include "support/catch.h"

using namespace molink;

namespace {

NodeInfo node(std::uint32_t id, const std::string& name) {
    NodeInfo info;
    info.id = NodeId(id);
    info.name = name;
    return info;
}

}  // namespace

TEST_CASE("a seed cluster is complete when it has its number of nodes") {
    const auto cluster = make_seed_cluster(2);
    std::vector<NodeInfo> members{node(0, "head")};
    REQUIRE(cluster->select(members).empty());
    REQUIRE(cluster->missing(members) == "1 of 2 nodes are here; missing 1");
    REQUIRE(cluster->admit(node(1, "a"), members).ok());
    REQUIRE(cluster->admit(node(1, "head"), members).code() == StatusCode::unavailable);
    members.push_back(node(1, "a"));
    REQUIRE(cluster->missing(members).empty());
    REQUIRE(cluster->select(members) == std::vector<NodeId>{NodeId(0), NodeId(1)});
    REQUIRE(cluster->admit(node(2, "b"), members).code() == StatusCode::resource_exhausted);
}

TEST_CASE("nodes with fixed layers are ordered by their layers") {
    const auto cluster = make_seed_cluster(3);
    std::vector<NodeInfo> members{node(0, "head"), node(1, "late"), node(2, "early")};
    members[1].fixed_layers = LayerRange{6, 8};
    members[2].fixed_layers = LayerRange{0, 2};
    REQUIRE(cluster->select(members) == std::vector<NodeId>{NodeId(2), NodeId(0), NodeId(1)});
}

TEST_CASE("a static cluster admits exactly its names and keeps their order") {
    const auto cluster = make_static_cluster({"head", "b", "a"});
    std::vector<NodeInfo> members{node(0, "head"), node(1, "a")};
    REQUIRE(cluster->missing(members) == "missing nodes: b");
    REQUIRE(cluster->select(members).empty());
    REQUIRE(cluster->admit(node(2, "c"), members).code() == StatusCode::invalid_argument);
    REQUIRE(cluster->admit(node(2, "a"), members).code() == StatusCode::unavailable);
    REQUIRE(cluster->admit(node(2, "b"), members).ok());
    members.push_back(node(2, "b"));
    REQUIRE(cluster->select(members) == std::vector<NodeId>{NodeId(0), NodeId(2), NodeId(1)});
}
