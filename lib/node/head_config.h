#pragma once

#include <cstdint>
#include <memory>

#include <molink/cluster.h>
#include <molink/partitioner.h>
#include <molink/scheduler.h>

#include "engine/engine_core.h"
#include "node/node_identity.h"
#include "node/tensor_check.h"
#include "security/access.h"

namespace molink {

/// What a head is asked to do.
struct HeadConfig {
    NodeIdentity identity;
    PartitionModel partition_model;
    EngineCoreOptions engine;  ///< of each pipeline
    bool local_stage = true;
    DataType wire_type = DataType::f32;
    std::int32_t max_context = 0;
    PartitionObjective objective = PartitionObjective::throughput;
    PartitionWorkload workload;
    bool plan_only = false;
    bool direct_feedback = true;
    LmHead lm_head = LmHead::automatic;
    bool probe_links = true;
    std::int64_t node_lost_after_us = 0;
    std::int64_t reconnect_within_us = 0;
    /// Who may join; null: a cluster without keys, which everybody may join.
    std::shared_ptr<AccessControl> access;
    PeerIdentity self;  ///< the head's own key
    /// Judges what stages have loaded; must outlive the head. Null: their weights are no files.
    TensorCheck* tensors = nullptr;
};

struct HeadPolicies {
    std::unique_ptr<Cluster> cluster;
    std::unique_ptr<Partitioner> partitioner;
    std::unique_ptr<Scheduler> scheduler;  ///< null for the default one
};

}  // namespace molink
