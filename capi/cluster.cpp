// Implements molink_engine_cluster and molink_cluster_*: snapshots of the cluster as the head last
// published it. Structs that a caller receives point into the snapshot, so nothing is copied twice.
// Their strings live as long as the snapshot.
#include "guard.h"
#include "handles.h"
#include "structs.h"

namespace molink::capi {
namespace {

molink_node_info node_info(const NodeInfo& node) {
    molink_node_info info = MOLINK_NODE_INFO_INIT;
    info.name = node.name.c_str();
    info.address = node.address.c_str();
    info.host_id = node.host_id.c_str();
    info.id = node.id.value;
    info.state = static_cast<std::int32_t>(node.state);
    info.layers_begin = node.layers.begin;
    info.layers_end = node.layers.end;
    info.memory_bytes = node.memory_bytes;
    info.weight_bytes = node.weight_bytes;
    info.device = node.device.c_str();
    info.loaded_bytes = node.loaded_bytes;
    info.kv_blocks = node.kv_blocks;
    info.decode_layer_us = node.decode_layer_us;
    info.left_out = node.left_out.c_str();
    return info;
}

}  // namespace
}  // namespace molink::capi

using namespace molink::capi;
using molink::Status;

extern "C" {

molink_error* molink_engine_cluster(const molink_engine* engine, molink_cluster** out_cluster) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_engine_cluster", engine);
        MOLINK_CAPI_NOT_NULL("molink_engine_cluster", out_cluster);
        *out_cluster = new molink_cluster{engine->engine->cluster()};
        return {};
    });
}

molink_error* molink_cluster_get(const molink_cluster* cluster, molink_cluster_info* out_info) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_cluster_get", cluster);
        molink_cluster_info info = MOLINK_CLUSTER_INFO_INIT;
        info.state = static_cast<std::int32_t>(cluster->view.state);
        info.epoch = cluster->view.epoch;
        info.missing = cluster->view.missing.c_str();
        info.last_error = cluster->view.last_error.c_str();
        info.node_count = cluster->view.nodes.size();
        info.stage_count = cluster->view.stages.size();
        return write_struct("molink_cluster_info", info, out_info);
    });
}

molink_error* molink_cluster_node(const molink_cluster* cluster, size_t index,
                                  molink_node_info* out_info) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_cluster_node", cluster);
        const auto& nodes = cluster->view.nodes;
        if (auto status = check_index("molink_cluster_node", index, nodes.size()); !status.ok()) {
            return status;
        }
        return write_struct("molink_node_info", node_info(nodes[index]), out_info);
    });
}

molink_error* molink_cluster_stage(const molink_cluster* cluster, size_t index,
                                   uint32_t* out_node) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_cluster_stage", cluster);
        MOLINK_CAPI_NOT_NULL("molink_cluster_stage", out_node);
        const auto& stages = cluster->view.stages;
        if (auto status = check_index("molink_cluster_stage", index, stages.size()); !status.ok()) {
            return status;
        }
        *out_node = stages[index].value;
        return {};
    });
}

void molink_cluster_release(molink_cluster* cluster) {
    delete cluster;
}

}  // extern "C"
