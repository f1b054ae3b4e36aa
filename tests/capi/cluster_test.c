/* Tests clusters through the C interface: in one process, and with a head and workers that connect
 * over loopback. Text and logit hashes equal those of one node. Also tests views, metrics, and how
 * workers end. */
#include "support.h"

#include <molink_keys.h>

#include <stdio.h>
#include <string.h>

static const char* const kPrompt = "And it came to pass";

typedef struct {
    char text[1024];
    uint64_t hashes[64];
    size_t hash_count;
} output;

static void generate_with_hashes(molink_engine* engine, output* out) {
    molink_request request = MOLINK_REQUEST_INIT;
    molink_queue* queue = NULL;
    int last = 0;
    memset(out, 0, sizeof(*out));
    request.prompt = kPrompt;
    request.max_tokens = 20;
    request.hash_logits = 1;
    CHECK_OK(molink_queue_create(&queue));
    CHECK_OK(molink_engine_submit_to_queue(engine, &request, queue, NULL, NULL));
    while (!last) {
        const molink_event* event = NULL;
        CHECK_OK(molink_queue_next(queue, MOLINK_WAIT_FOREVER, &event));
        CHECK(event->status == MOLINK_OK);
        strncat(out->text, event->text, event->text_size);
        last = event->last;
        if (last) {
            CHECK(event->logit_hash_count > 20 && event->logit_hash_count <= 64);
            out->hash_count = event->logit_hash_count;
            memcpy(out->hashes, event->logit_hashes, out->hash_count * sizeof(uint64_t));
        }
        molink_event_release(event);
    }
    molink_queue_destroy(queue);
}

static void check_equal(const output* a, const output* b) {
    CHECK(strcmp(a->text, b->text) == 0 && a->hash_count == b->hash_count);
    CHECK(memcmp(a->hashes, b->hashes, a->hash_count * sizeof(uint64_t)) == 0);
}

/* Checks that three stages cover the model's eight layers in order. */
static void check_view(const molink_engine* engine) {
    molink_cluster_info info = MOLINK_CLUSTER_INFO_INIT;
    molink_cluster* cluster = NULL;
    int32_t next_layer = 0;
    size_t stage;
    CHECK_OK(molink_engine_cluster(engine, &cluster));
    CHECK_OK(molink_cluster_get(cluster, &info));
    CHECK(info.state == MOLINK_ENGINE_READY && info.node_count == 3 && info.stage_count == 3);
    for (stage = 0; stage < info.stage_count; ++stage) {
        molink_node_info node = MOLINK_NODE_INFO_INIT;
        uint32_t id = 0;
        size_t i = 0;
        CHECK_OK(molink_cluster_stage(cluster, stage, &id));
        do {
            CHECK_OK(molink_cluster_node(cluster, i++, &node));
        } while (node.id != id);
        CHECK(node.state == MOLINK_NODE_READY && node.layers_begin == next_layer);
        CHECK(node.left_out[0] == '\0');
        CHECK(node.loaded_bytes == node.weight_bytes && node.kv_blocks > 0);
        next_layer = node.layers_end;
    }
    CHECK(next_layer == 8);
    molink_cluster_release(cluster);
}

static void check_metrics(const molink_engine* engine) {
    molink_metrics_info info = MOLINK_METRICS_INFO_INIT;
    molink_metrics* metrics = NULL;
    size_t i;
    CHECK_OK(molink_engine_metrics(engine, &metrics));
    CHECK_OK(molink_metrics_get(metrics, &info));
    CHECK(info.stage_count == 3 && info.link_count >= 2 && info.requests_finished == 1);
    for (i = 0; i < info.link_count; ++i) {
        molink_link_info link = MOLINK_LINK_INFO_INIT;
        CHECK_OK(molink_metrics_link(metrics, i, &link));
        CHECK(link.node[0] != '\0' && link.peer[0] != '\0' && strcmp(link.node, link.peer) != 0);
        CHECK(link.lane_count == 5 && link.sent_bytes > 0 && link.lane_queue_us[0] >= 0);
    }
    molink_metrics_release(metrics);
}

static void whole_in_one_process(const char* model, const output* expected) {
    molink_engine_options options = small_options(model);
    molink_engine* engine;
    output found;
    options.local_workers = 2;
    engine = ready_engine_with(&options);
    generate_with_hashes(engine, &found);
    check_equal(&found, expected);
    check_view(engine);
    check_metrics(engine);
    CHECK_OK(molink_engine_destroy(engine));
}

static molink_worker* join(const char* model, const molink_engine* engine, const char* name) {
    molink_worker_options options = MOLINK_WORKER_OPTIONS_INIT;
    molink_worker* worker = NULL;
    options.model_dir = model;
    options.join = molink_engine_address(engine);
    options.name = name;
    options.give_up_after_us = 0;
    options.threads = 1;
    options.memory_bytes = (int64_t)64 << 20;
    CHECK_OK(molink_worker_create(&options, &worker));
    return worker;
}

static void head_and_workers(const char* model, const output* expected) {
    molink_engine_options options = small_options(model);
    molink_worker_info info = MOLINK_WORKER_INFO_INIT;
    molink_metrics_info counts = MOLINK_METRICS_INFO_INIT;
    molink_engine* engine = NULL;
    molink_worker *first, *second;
    molink_metrics* metrics = NULL;
    output found;
    options.stages = 3;
    options.partitioner = "even"; /* measured times might leave a worker out */
    CHECK_OK(molink_engine_create(&options, &engine));
    CHECK_CODE(molink_engine_wait_ready(engine, 0), MOLINK_DEADLINE_EXCEEDED);
    first = join(model, engine, "first");
    second = join(model, engine, "second");
    CHECK_OK(molink_engine_wait_ready(engine, 60000000));
    generate_with_hashes(engine, &found);
    check_equal(&found, expected);
    check_view(engine);
    check_metrics(engine);

    CHECK_CODE(molink_worker_wait(first, 0), MOLINK_DEADLINE_EXCEEDED);
    CHECK_CODE(molink_worker_wait(first, -2), MOLINK_INVALID_ARGUMENT);
    CHECK_OK(molink_worker_get(first, &info));
    CHECK(info.welcomed && info.state == MOLINK_NODE_READY && info.epoch == 1);
    CHECK(info.layers_end > info.layers_begin && info.loaded_bytes == info.weight_bytes);
    CHECK(strncmp(info.address, "tcp://127.0.0.1:", 16) == 0);
    CHECK_OK(molink_worker_metrics(first, &metrics));
    CHECK_OK(molink_metrics_get(metrics, &counts));
    CHECK(counts.link_count >= 1 && counts.stage_count == 0);
    molink_metrics_release(metrics);

    CHECK_OK(molink_engine_destroy(engine)); /* tells the workers to leave */
    CHECK_OK(molink_worker_wait(first, 60000000));
    CHECK_OK(molink_worker_wait(second, 60000000));
    CHECK_OK(molink_worker_destroy(first));
    CHECK_OK(molink_worker_close(second));
    CHECK_OK(molink_worker_close(second));
    CHECK_OK(molink_worker_destroy(second));
}

/* With keys a token lets a worker join, and nothing else changes. */
static void with_keys(const char* model, const output* expected) {
    molink_engine_options options = small_options(model);
    molink_worker_options worker_options = MOLINK_WORKER_OPTIONS_INIT;
    char key[MOLINK_KEY_SIZE], again[MOLINK_KEY_SIZE], token[1024];
    size_t token_size = 0;
    molink_engine* engine = NULL;
    molink_worker* worker = NULL;
    output found;
    remove("capi_head.key");
    remove("capi_worker.key");
    remove("capi_head.access");
    CHECK_OK(molink_key_create("capi_head.key", key));
    CHECK_CODE(molink_key_create("capi_head.key", again), MOLINK_FAILED_PRECONDITION);
    CHECK_OK(molink_key_read("capi_head.key", again));
    CHECK(strlen(key) == MOLINK_KEY_SIZE - 1 && strcmp(key, again) == 0);
    CHECK_OK(molink_access_allow("capi_head.access", key, "somebody"));
    CHECK_CODE(molink_access_allow("capi_head.access", "abc", NULL), MOLINK_INVALID_ARGUMENT);
    CHECK_OK(molink_access_revoke("capi_head.access", key));
    CHECK_CODE(molink_access_revoke("capi_head.access", key), MOLINK_NOT_FOUND);
    options.stages = 2;
    options.partitioner = "even";
    options.key_file = "capi_head.key";
    CHECK_CODE(molink_engine_create(&options, &engine), MOLINK_INVALID_ARGUMENT);
    options.allow_file = "capi_head.access";
    CHECK_OK(molink_engine_create(&options, &engine));
    CHECK_CODE(molink_access_token("capi_head.access", "capi_head.key",
                                   molink_engine_address(engine), 60, 0, token, 10, &token_size),
               MOLINK_RESOURCE_EXHAUSTED);
    CHECK_OK(molink_access_token("capi_head.access", "capi_head.key",
                                 molink_engine_address(engine), 60, 0, token, sizeof token,
                                 &token_size));
    CHECK(token_size == strlen(token));
    worker_options.model_dir = model;
    worker_options.threads = 1;
    worker_options.memory_bytes = (int64_t)64 << 20;
    worker_options.key_file = "capi_worker.key";
    worker_options.token = token;
    worker_options.give_up_after_us = 0;
    CHECK_OK(molink_worker_create(&worker_options, &worker));
    CHECK_OK(molink_engine_wait_ready(engine, 60000000));
    generate_with_hashes(engine, &found);
    check_equal(&found, expected);
    CHECK_OK(molink_engine_destroy(engine));
    CHECK_OK(molink_worker_wait(worker, 60000000));
    CHECK_OK(molink_worker_destroy(worker));
}

/* Every policy, by its name, gives the same bits. */
static void policies_by_name(const char* model, const output* expected) {
    static const char* const schedulers[] = {"adaptive", "depth", "single", "molink-paper"};
    static const char* const transmits[] = {"fair", "strict", "fifo", "fair"};
    size_t i;
    for (i = 0; i < 4; ++i) {
        molink_engine_options options = small_options(model);
        molink_engine* engine;
        output found;
        options.local_workers = 2;
        options.scheduler_name = schedulers[i];
        options.transmit = transmits[i];
        options.partitioner = i % 2 == 0 ? "cost" : "even";
        options.objective = i < 2 ? MOLINK_THROUGHPUT : MOLINK_LATENCY;
        options.lm_head = (int32_t)i % 3; /* the bundled model is tied */
        options.link_probes = i % 2;
        options.expected_prompt_tokens = i == 3 ? 1 : 512; /* splits differ, bits do not */
        options.step_tokens = i == 0 ? 0 : 64;
        engine = ready_engine_with(&options);
        generate_with_hashes(engine, &found);
        check_equal(&found, expected);
        CHECK_OK(molink_engine_destroy(engine));
    }
}

/* The head refuses a worker with another weight format and tells it why. */
static void wrong_worker(const char* model) {
    molink_engine_options options = small_options(model);
    molink_worker_options wrong = MOLINK_WORKER_OPTIONS_INIT;
    molink_engine* engine = NULL;
    molink_worker* worker = NULL;
    options.stages = 2;
    CHECK_OK(molink_engine_create(&options, &engine));
    wrong.model_dir = model;
    wrong.join = molink_engine_address(engine);
    wrong.weights = MOLINK_WEIGHTS_Q8_0;
    wrong.threads = 1;
    CHECK_OK(molink_worker_create(&wrong, &worker));
    CHECK_CODE(molink_worker_wait(worker, 60000000), MOLINK_FAILED_PRECONDITION);
    CHECK_OK(molink_worker_destroy(worker));
    CHECK_OK(molink_engine_destroy(engine));
}

int main(int argc, char** argv) {
    output expected;
    molink_engine* engine;
    if (argc < 2) return 2;
    engine = ready_engine(argv[1]);
    generate_with_hashes(engine, &expected);
    CHECK_OK(molink_engine_destroy(engine));
    whole_in_one_process(argv[1], &expected);
    head_and_workers(argv[1], &expected);
    policies_by_name(argv[1], &expected);
    with_keys(argv[1], &expected);
    wrong_worker(argv[1]);
    return 0;
}
