/* Frozen: the part of molink.h that a client of an earlier day had, with fewer fields in every
 * struct. Never edit it; old_client.c proves that today's library still serves it. */
#ifndef MOLINK_H
#define MOLINK_H

#include <stddef.h>
#include <stdint.h>

enum { MOLINK_OK = 0 };

typedef struct molink_error molink_error;
const char* molink_error_message(const molink_error* error);
void molink_error_release(molink_error* error);

typedef struct molink_engine_options {
    size_t struct_size;
    const char* model_dir;
    const char* name;
    const char* listen;
    const char* advertise;
    const char* backend;
    int64_t memory_bytes;
    int64_t node_lost_after_us;
    int64_t reconnect_within_us;
    int64_t max_in_flight_bytes;
    int32_t insecure;
    int32_t weights;
    int32_t kv_type;
    int32_t block_tokens;
} molink_engine_options;

#define MOLINK_ENGINE_OPTIONS_INIT                                                         \
    {                                                                                      \
        sizeof(molink_engine_options), NULL, NULL, NULL, NULL, NULL, 0, 15000000, 3000000, \
            33554432, 0, 0, 0, 16                                                          \
    }

typedef struct molink_engine molink_engine;
molink_error* molink_engine_create(const molink_engine_options* options,
                                   molink_engine** out_engine);
molink_error* molink_engine_wait_ready(molink_engine* engine, int64_t timeout_us);
molink_error* molink_engine_destroy(molink_engine* engine);

typedef struct molink_request {
    size_t struct_size;
    const char* prompt;
    size_t prompt_size;
    const int32_t* prompt_tokens;
    size_t prompt_token_count;
    int32_t max_tokens;
    int32_t min_tokens;
} molink_request;

#define MOLINK_REQUEST_INIT \
    { sizeof(molink_request), NULL, 0, NULL, 0, 128, 0 }

typedef struct molink_event {
    size_t struct_size;
    uint64_t request;
    void* user_data;
    int32_t index;
    int32_t finish_reason;
    int32_t last;
    int32_t status;
    const char* message;
    const char* text;
    size_t text_size;
} molink_event;

typedef struct molink_queue molink_queue;
molink_error* molink_queue_create(molink_queue** out_queue);
molink_error* molink_engine_submit_to_queue(molink_engine* engine, const molink_request* request,
                                            molink_queue* queue, void* user_data,
                                            uint64_t* out_request);
molink_error* molink_queue_next(molink_queue* queue, int64_t timeout_us,
                                const molink_event** out_event);
void molink_event_release(const molink_event* event);
void molink_queue_destroy(molink_queue* queue);

typedef struct molink_cluster molink_cluster;
typedef struct molink_cluster_info {
    size_t struct_size;
    int32_t state;
    uint32_t epoch;
} molink_cluster_info;
molink_error* molink_engine_cluster(const molink_engine* engine, molink_cluster** out_cluster);
molink_error* molink_cluster_get(const molink_cluster* cluster, molink_cluster_info* out_info);
void molink_cluster_release(molink_cluster* cluster);

#endif
