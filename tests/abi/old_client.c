/* A client that was built with the frozen header. Its structs are shorter than the library's. The
 * library must not read or write behind them, and the fields that they lack must have defaults. */
#include "old/molink.h"

#include <stdio.h>
#include <string.h>

static int failed(molink_error* error) {
    if (error == NULL) return 0;
    fprintf(stderr, "%s\n", molink_error_message(error));
    molink_error_release(error);
    return 1;
}

/* Short structs, each with a fence behind it that the library must not write or read as fields. */
typedef struct {
    molink_engine_options options;
    unsigned char fence[512];
} fenced_options;
typedef struct {
    molink_request request;
    unsigned char fence[512];
} fenced_request;
typedef struct {
    molink_cluster_info info;
    unsigned char fence[256];
} fenced_info;

static int generate(molink_engine* engine, molink_queue* queue, const char* prompt) {
    fenced_request fenced = {MOLINK_REQUEST_INIT, {0}};
    int last = 0;
    size_t bytes = 0;
    memset(fenced.fence, 0xA5, sizeof(fenced.fence));
    fenced.request.prompt = prompt;
    fenced.request.max_tokens = 8;
    if (failed(molink_engine_submit_to_queue(engine, &fenced.request, queue, engine, NULL))) {
        return 1;
    }
    while (!last) {
        const molink_event* event = NULL;
        if (failed(molink_queue_next(queue, -1, &event))) return 1;
        if (event->struct_size < sizeof(molink_event) || event->user_data != engine) return 1;
        if (event->status != MOLINK_OK || event->index != 0) return 1;
        bytes += event->text_size;
        last = event->last;
        molink_event_release(event);
    }
    return bytes == 0;
}

static int look(molink_engine* engine) {
    fenced_info fenced = {{sizeof(molink_cluster_info), 0, 0}, {0}};
    molink_cluster* cluster = NULL;
    size_t i;
    memset(fenced.fence, 0xA5, sizeof(fenced.fence));
    if (failed(molink_engine_cluster(engine, &cluster))) return 1;
    if (failed(molink_cluster_get(cluster, &fenced.info))) return 1;
    molink_cluster_release(cluster);
    for (i = 0; i < sizeof(fenced.fence); ++i) {
        if (fenced.fence[i] != 0xA5) return 1;
    }
    return fenced.info.struct_size != sizeof(molink_cluster_info) || fenced.info.epoch != 1;
}

int main(int argc, char** argv) {
    fenced_options fenced = {MOLINK_ENGINE_OPTIONS_INIT, {0}};
    molink_engine* engine = NULL;
    molink_queue* queue = NULL;
    if (argc < 2) return 2;
    memset(fenced.fence, 0xA5, sizeof(fenced.fence));
    fenced.options.model_dir = argv[1];
    if (failed(molink_engine_create(&fenced.options, &engine))) return 1;
    if (failed(molink_engine_wait_ready(engine, 60000000))) return 1;
    if (failed(molink_queue_create(&queue))) return 1;
    if (generate(engine, queue, "In the beginning")) return fprintf(stderr, "generate failed\n"), 1;
    if (look(engine)) return fprintf(stderr, "the view of the cluster is wrong\n"), 1;
    molink_queue_destroy(queue);
    return failed(molink_engine_destroy(engine));
}
