#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <molink/partitioner.h>

namespace molink::test {

/// Returns a small cluster drawn from `seed`: up to 5 nodes and 8 layers, tight memory, asymmetric
/// links, fixed layers, all objectives and rules.
PartitionInput random_partition_input(std::uint64_t seed);

/// Gives the layers of `input`, which are alike, different sizes and costs drawn from `seed`.
void make_layers_differ(PartitionInput& input, std::uint64_t seed);

/// Returns `nodes` nodes with ample memory in sites of four. Links are fast within a site and slow
/// between sites.
PartitionInput site_input(std::uint64_t seed, std::size_t nodes, std::int32_t layers);

/// Returns a site_input of 4 to 32 nodes with 33 to 92 layers. Objective, memory, fixed layers and
/// rules vary with the seed.
PartitionInput mixed_site_input(std::uint64_t seed);

/// The figures of a plan, computed from their definitions.
struct PlanWorth {
    double slowest_us = 0;
    double ring_us = 0;
    std::int64_t kv_blocks = 0;
    std::size_t nodes = 0;
};

/// Returns every permitted plan: all choices of nodes, all orders of them, all splits.
std::vector<PlanWorth> every_plan(const PartitionInput& input);

}  // namespace molink::test
