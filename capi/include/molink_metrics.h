/*
 * Metrics of an engine and its peer links. A part of molink.h, which includes it.
 */
#ifndef MOLINK_METRICS_H
#define MOLINK_METRICS_H

#include "molink.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- metrics --------------------------------------------------------------------------------- */

typedef struct molink_metrics_info {
    size_t struct_size;
    uint64_t requests_submitted;
    uint64_t requests_finished; /* all completions: stop or length */
    uint64_t requests_failed;
    uint64_t requests_cancelled;
    uint64_t requests_refused;
    uint64_t prompt_tokens; /* prefilled tokens, including those computed again */
    uint64_t output_tokens;
    uint64_t preemptions;
    uint64_t prefix_hits;
    uint64_t prefix_query_tokens;
    uint64_t prefix_hit_tokens;
    uint64_t plans_refused; /* plans of the scheduler that the check refused */
    int64_t kv_blocks_total;
    int64_t kv_blocks_free;
    int64_t kv_blocks_cached;
    int32_t running; /* sequences */
    int32_t waiting;
    uint32_t epoch;
    int32_t max_micro_batches_in_flight;
    size_t stage_count;
    size_t link_count;
} molink_metrics_info;
#define MOLINK_METRICS_INFO_INIT \
    { sizeof(molink_metrics_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

enum {
    MOLINK_TIME_TO_FIRST_TOKEN = 0,
    MOLINK_TIME_PER_OUTPUT_TOKEN = 1,
    MOLINK_TIME_QUEUED = 2,
    MOLINK_TIME_OF_REQUEST = 3
};

/** Counts of times in seconds. A bucket has the times between its bound and the one before. */
typedef struct molink_histogram_info {
    size_t struct_size;
    const double* bounds;    /* [bound_count] ascending */
    const uint64_t* buckets; /* [bound_count + 1], the last is above all bounds */
    size_t bound_count;
    uint64_t count;
    double sum;
} molink_histogram_info;
#define MOLINK_HISTOGRAM_INFO_INIT \
    { sizeof(molink_histogram_info), NULL, NULL, 0, 0, 0 }

typedef struct molink_stage_info {
    size_t struct_size;
    const char* node;
    int32_t layers_begin;
    int32_t layers_end;
    uint64_t parts;
    uint64_t rows;
    int64_t compute_us; /* sum */
    int64_t wait_us;    /* sum of the times that parts waited at the stage */
} molink_stage_info;
#define MOLINK_STAGE_INFO_INIT \
    { sizeof(molink_stage_info), NULL, 0, 0, 0, 0, 0, 0 }

/** Traffic of a peer link. Lanes, most urgent first: control, token, decode, prefill, bulk. */
typedef struct molink_link_info {
    size_t struct_size;
    const char* peer; /* name of the node at the other end */
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t resent_bytes;
    size_t lane_count;
    const uint64_t* lane_sent_bytes; /* [lane_count], like the next three */
    const uint64_t* lane_received_bytes;
    const uint64_t* lane_sent_messages;
    const int64_t* lane_queue_us; /* sum over messages */
    int64_t round_trip_us;        /* smoothed */
    double bytes_per_s;           /* measured; 0: unknown */
    int64_t delay_us;
    int64_t jitter_us;
    const char* node; /* name of the node that counted */
} molink_link_info;
#define MOLINK_LINK_INFO_INIT \
    { sizeof(molink_link_info), NULL, 0, 0, 0, 0, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL }

MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_metrics(const molink_engine* engine,
                                                                molink_metrics** out_metrics);
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_metrics_get(const molink_metrics* metrics,
                                                             molink_metrics_info* out_info);
/** Returns one histogram. which: MOLINK_TIME_... */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_metrics_histogram(const molink_metrics* metrics,
                                                                   int32_t which,
                                                                   molink_histogram_info* out_info);
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_metrics_stage(const molink_metrics* metrics,
                                                               size_t index,
                                                               molink_stage_info* out_info);
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_metrics_link(const molink_metrics* metrics,
                                                              size_t index,
                                                              molink_link_info* out_info);
MOLINK_CAPI void molink_metrics_release(molink_metrics* metrics);

#ifdef __cplusplus
}
#endif
#endif
