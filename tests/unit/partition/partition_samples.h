#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <molink/partitioner.h>

namespace molink::test {

/// A small cluster drawn from the seed: up to 5 nodes and 8 layers, tight memory, asymmetric links,
/// overrides, all objectives and rules.
PartitionInput random_partition_input(std::uint64_t seed);

/// Gives the layers of `input`, which are alike, other sizes and costs, drawn from the seed.
void make_layers_differ(PartitionInput& input, std::uint64_t seed);

/// `nodes` nodes with ample memory in sites of four; links are fast within a site and slow between
/// sites.
PartitionInput site_input(std::uint64_t seed, std::size_t nodes, std::int32_t layers);

/// A site_input of 4 to 32 nodes with 33 to 92 layers; objective, memory, overrides and rules vary
/// with the seed.
PartitionInput mixed_site_input(std::uint64_t seed);

/// What a plan is worth, computed from the definition alone.
struct PlanWorth {
    double slowest_us = 0;
    double ring_us = 0;
    std::int64_t kv_blocks = 0;
    std::size_t nodes = 0;
};

/// Every plan that is permitted: all choices of nodes, all their orders, all splits.
std::vector<PlanWorth> every_plan(const PartitionInput& input);

}  // namespace molink::test
