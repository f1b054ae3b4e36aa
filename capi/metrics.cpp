// Snapshots of the counters. Engines and workers use the same type; that of a worker has only
// links. Structs that a caller receives point into the snapshot, including arrays of lanes and
// buckets, and live as long as the snapshot.
#include "guard.h"
#include "handles.h"
#include "structs.h"

namespace molink::capi {
namespace {

molink_metrics_info metrics_info(const MetricsSnapshot& metrics) {
    molink_metrics_info info = MOLINK_METRICS_INFO_INIT;
    info.requests_submitted = metrics.requests_submitted;
    info.requests_finished = metrics.requests_finished;
    info.requests_failed = metrics.requests_failed;
    info.requests_cancelled = metrics.requests_cancelled;
    info.requests_refused = metrics.requests_refused;
    info.prompt_tokens = metrics.prompt_tokens;
    info.output_tokens = metrics.output_tokens;
    info.preemptions = metrics.preemptions;
    info.prefix_hits = metrics.prefix_hits;
    info.prefix_query_tokens = metrics.prefix_query_tokens;
    info.prefix_hit_tokens = metrics.prefix_hit_tokens;
    info.plans_refused = metrics.plans_refused;
    info.kv_blocks_total = metrics.kv_blocks_total;
    info.kv_blocks_free = metrics.kv_blocks_free;
    info.kv_blocks_cached = metrics.kv_blocks_cached;
    info.running = metrics.running;
    info.waiting = metrics.waiting;
    info.epoch = metrics.epoch;
    info.max_micro_batches_in_flight = metrics.max_micro_batches_in_flight;
    info.stage_count = metrics.stages.size();
    info.link_count = metrics.links.size();
    return info;
}

const Histogram* histogram_of(const MetricsSnapshot& metrics, std::int32_t which) {
    switch (which) {
        case MOLINK_TIME_TO_FIRST_TOKEN: return &metrics.time_to_first_token_s;
        case MOLINK_TIME_PER_OUTPUT_TOKEN: return &metrics.time_per_output_token_s;
        case MOLINK_TIME_QUEUED: return &metrics.queue_s;
        case MOLINK_TIME_OF_REQUEST: return &metrics.request_s;
        default: return nullptr;
    }
}

molink_link_info link_info(const LinkMetrics& link) {
    molink_link_info info = MOLINK_LINK_INFO_INIT;
    info.peer = link.peer.c_str();
    info.sent_bytes = link.sent_bytes;
    info.received_bytes = link.received_bytes;
    info.resent_bytes = link.resent_bytes;
    info.lane_count = kLaneCount;
    info.lane_sent_bytes = link.lane_sent_bytes;
    info.lane_received_bytes = link.lane_received_bytes;
    info.lane_sent_messages = link.lane_sent_messages;
    info.lane_queue_us = link.lane_queue_us;
    info.round_trip_us = link.round_trip_us;
    info.bytes_per_s = link.model.bytes_per_s;
    info.delay_us = link.model.delay_us;
    info.jitter_us = link.model.jitter_us;
    info.node = link.node.c_str();
    return info;
}

}  // namespace
}  // namespace molink::capi

using namespace molink::capi;
using molink::Status;
using molink::StatusCode;

extern "C" {

molink_error* molink_engine_metrics(const molink_engine* engine, molink_metrics** out_metrics) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_engine_metrics", engine);
        MOLINK_CAPI_NOT_NULL("molink_engine_metrics", out_metrics);
        *out_metrics = new molink_metrics{engine->engine->metrics()};
        return {};
    });
}

molink_error* molink_worker_metrics(const molink_worker* worker, molink_metrics** out_metrics) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_worker_metrics", worker);
        MOLINK_CAPI_NOT_NULL("molink_worker_metrics", out_metrics);
        auto metrics = std::make_unique<molink_metrics>();
        metrics->snapshot.links = worker->worker->view().links;
        *out_metrics = metrics.release();
        return {};
    });
}

molink_error* molink_metrics_get(const molink_metrics* metrics, molink_metrics_info* out_info) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_metrics_get", metrics);
        return write_struct("molink_metrics_info", metrics_info(metrics->snapshot), out_info);
    });
}

molink_error* molink_metrics_histogram(const molink_metrics* metrics, int32_t which,
                                       molink_histogram_info* out_info) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_metrics_histogram", metrics);
        const molink::Histogram* histogram = histogram_of(metrics->snapshot, which);
        if (histogram == nullptr) {
            return Status(
                StatusCode::not_found,
                "molink_metrics_histogram: there is no histogram " + std::to_string(which));
        }
        molink_histogram_info info = MOLINK_HISTOGRAM_INFO_INIT;
        info.bounds = histogram->bounds.data();
        info.buckets = histogram->buckets.data();
        info.bound_count = histogram->bounds.size();
        info.count = histogram->count;
        info.sum = histogram->sum;
        return write_struct("molink_histogram_info", info, out_info);
    });
}

molink_error* molink_metrics_stage(const molink_metrics* metrics, size_t index,
                                   molink_stage_info* out_info) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_metrics_stage", metrics);
        const auto& stages = metrics->snapshot.stages;
        if (auto status = check_index("molink_metrics_stage", index, stages.size()); !status.ok()) {
            return status;
        }
        const molink::StageMetrics& stage = stages[index];
        molink_stage_info info = MOLINK_STAGE_INFO_INIT;
        info.node = stage.node.c_str();
        info.layers_begin = stage.layers.begin;
        info.layers_end = stage.layers.end;
        info.parts = stage.parts;
        info.rows = stage.rows;
        info.compute_us = stage.compute_us;
        info.wait_us = stage.wait_us;
        return write_struct("molink_stage_info", info, out_info);
    });
}

molink_error* molink_metrics_link(const molink_metrics* metrics, size_t index,
                                  molink_link_info* out_info) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_metrics_link", metrics);
        const auto& links = metrics->snapshot.links;
        if (auto status = check_index("molink_metrics_link", index, links.size()); !status.ok()) {
            return status;
        }
        return write_struct("molink_link_info", link_info(links[index]), out_info);
    });
}

void molink_metrics_release(molink_metrics* metrics) {
    delete metrics;
}

}  // extern "C"
