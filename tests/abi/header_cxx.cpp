// Includes the C headers twice as C++11 and uses every initialiser. The test is that it compiles.
#include <molink.h>
#include <molink_plugin.h>
// again
#include <molink.h>
#include <molink_plugin.h>

int abi_header_cxx(void);
int abi_header_cxx(void) {
    const molink_engine_options engine = MOLINK_ENGINE_OPTIONS_INIT;
    const molink_worker_options worker = MOLINK_WORKER_OPTIONS_INIT;
    const molink_request request = MOLINK_REQUEST_INIT;
    const molink_model_info model = MOLINK_MODEL_INFO_INIT;
    const molink_cluster_info cluster = MOLINK_CLUSTER_INFO_INIT;
    const molink_node_info node = MOLINK_NODE_INFO_INIT;
    const molink_metrics_info metrics = MOLINK_METRICS_INFO_INIT;
    const molink_histogram_info histogram = MOLINK_HISTOGRAM_INFO_INIT;
    const molink_stage_info stage = MOLINK_STAGE_INFO_INIT;
    const molink_link_info link = MOLINK_LINK_INFO_INIT;
    const molink_worker_info view = MOLINK_WORKER_INFO_INIT;
    return engine.local_stage == 1 && worker.give_up_after_us == -1 && request.n == 1 &&
           model.layers == 0 && cluster.state == 0 && node.id == 0 && metrics.running == 0 &&
           histogram.count == 0 && stage.parts == 0 && link.lane_count == 0 && view.epoch == 0;
}
