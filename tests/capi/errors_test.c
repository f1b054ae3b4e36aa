/* Tests that every bad input gives an error with a reason, and has no effect on outputs or
 * callbacks. Functions that only free or read accept NULL. */
#include "support.h"

#include <string.h>

#include <molink_plugin.h>

static int called = 0;

static void never_event(void* user_data, const molink_event* event) {
    (void)user_data;
    (void)event;
    ++called;
}

static void never(void* user_data) {
    (void)user_data;
    ++called;
}

static void never_plan(void* user_data, const molink_view* view, molink_plan* plan) {
    (void)user_data;
    (void)view;
    (void)plan;
    ++called;
}

#define INVALID(call) CHECK_CODE(call, MOLINK_INVALID_ARGUMENT)

/* A missing handle or output is an error and no crash. */
static void null_handles(void) {
    molink_engine_options options = MOLINK_ENGINE_OPTIONS_INIT;
    molink_worker_options worker_options = MOLINK_WORKER_OPTIONS_INIT;
    molink_request request = MOLINK_REQUEST_INIT;
    molink_engine* engine = NULL;
    molink_worker* worker = NULL;
    molink_queue* queue = NULL;
    molink_cluster* cluster = NULL;
    molink_metrics* metrics = NULL;
    const molink_event* event = NULL;
    molink_model_info model = MOLINK_MODEL_INFO_INIT;
    molink_cluster_info cluster_info = MOLINK_CLUSTER_INFO_INIT;
    molink_node_info node = MOLINK_NODE_INFO_INIT;
    molink_metrics_info info = MOLINK_METRICS_INFO_INIT;
    molink_histogram_info histogram = MOLINK_HISTOGRAM_INFO_INIT;
    molink_stage_info stage = MOLINK_STAGE_INFO_INIT;
    molink_link_info link = MOLINK_LINK_INFO_INIT;
    molink_worker_info worker_info = MOLINK_WORKER_INFO_INIT;
    int32_t token = 0;
    uint32_t id = 0;
    size_t count = 0;
    char text[4];
    INVALID(molink_engine_create(NULL, &engine));
    INVALID(molink_engine_create(&options, NULL));
    INVALID(molink_engine_wait_ready(NULL, 0));
    INVALID(molink_engine_close(NULL));
    INVALID(molink_engine_model(NULL, &model));
    INVALID(molink_engine_tokenize(NULL, "a", 1, 0, &token, 1, &count));
    INVALID(molink_engine_detokenize(NULL, &token, 1, text, 4, &count));
    INVALID(molink_engine_submit(NULL, &request, never_event, NULL, never, NULL));
    INVALID(molink_engine_submit_to_queue(NULL, &request, NULL, NULL, NULL));
    INVALID(molink_engine_cancel(NULL, 1));
    INVALID(molink_engine_cluster(NULL, &cluster));
    INVALID(molink_engine_metrics(NULL, &metrics));
    INVALID(molink_queue_create(NULL));
    INVALID(molink_queue_next(NULL, 0, &event));
    INVALID(molink_cluster_get(NULL, &cluster_info));
    INVALID(molink_cluster_node(NULL, 0, &node));
    INVALID(molink_cluster_stage(NULL, 0, &id));
    INVALID(molink_metrics_get(NULL, &info));
    INVALID(molink_metrics_histogram(NULL, 0, &histogram));
    INVALID(molink_metrics_stage(NULL, 0, &stage));
    INVALID(molink_metrics_link(NULL, 0, &link));
    INVALID(molink_worker_create(NULL, &worker));
    INVALID(molink_worker_create(&worker_options, NULL));
    INVALID(molink_worker_wait(NULL, 0));
    INVALID(molink_worker_get(NULL, &worker_info));
    INVALID(molink_worker_metrics(NULL, &metrics));
    INVALID(molink_worker_close(NULL));
    CHECK_OK(molink_engine_destroy(NULL));
    CHECK_OK(molink_worker_destroy(NULL));
    molink_queue_destroy(NULL);
    molink_event_release(NULL);
    molink_cluster_release(NULL);
    molink_metrics_release(NULL);
    molink_error_release(NULL);
    CHECK(strcmp(molink_engine_address(NULL), "") == 0);
    CHECK(engine == NULL && worker == NULL && queue == NULL && cluster == NULL && metrics == NULL);
    CHECK(event == NULL && count == 0);
}

/* One negative time-out waits without limit; all others are errors. */
static void timeouts(void) {
    molink_queue* queue = NULL;
    const molink_event* event = NULL;
    CHECK_OK(molink_queue_create(&queue));
    CHECK_OK(molink_queue_next(queue, 0, &event));
    INVALID(molink_queue_next(queue, -2, &event));
    INVALID(molink_queue_next(queue, INT64_MIN, &event));
    CHECK(event == NULL);
    molink_queue_destroy(queue);
}

static void names(void) {
    int32_t i;
    CHECK(molink_error_code(NULL) == MOLINK_OK && molink_error_message(NULL)[0] == '\0');
    CHECK(molink_abi_version() == MOLINK_ABI_VERSION && molink_version()[0] != '\0');
    CHECK(strcmp(molink_status_name(MOLINK_NOT_FOUND), "not_found") == 0);
    CHECK(strcmp(molink_finish_reason_name(MOLINK_FINISH_LENGTH), "length") == 0);
    for (i = MOLINK_OK; i <= MOLINK_INTERNAL; ++i) {
        CHECK(strcmp(molink_status_name(i), "unknown") != 0);
    }
    CHECK(strcmp(molink_status_name(-1), "unknown") == 0);
    CHECK(strcmp(molink_status_name(11), "unknown") == 0);
    CHECK(strcmp(molink_finish_reason_name(-1), "unknown") == 0);
    CHECK(strcmp(molink_finish_reason_name(5), "unknown") == 0);
}

/* Struct sizes of other versions: unset, absurd, and larger with and without a new field set. */
static void struct_sizes(const char* model) {
    struct {
        molink_engine_options options;
        int64_t newer[2];
    } later;
    molink_engine_options options;
    molink_engine* engine = NULL;
    memset(&options, 0, sizeof(options));
    options.model_dir = model;
    INVALID(molink_engine_create(&options, &engine));
    options.struct_size = sizeof(options) - 3;
    INVALID(molink_engine_create(&options, &engine));
    options.struct_size = (size_t)-8;
    INVALID(molink_engine_create(&options, &engine));
    INVALID(molink_engine_options_init(NULL, sizeof(options)));
    INVALID(molink_engine_options_init(&options, 0));
    INVALID(molink_engine_options_init(&options, sizeof(options) + 1));
    INVALID(molink_request_init(NULL, sizeof(molink_request)));
    INVALID(molink_worker_options_init(NULL, sizeof(molink_worker_options)));

    CHECK_OK(molink_engine_options_init(&later.options, sizeof(later)));
    CHECK(later.options.struct_size == sizeof(later) && later.options.local_stage == 1);
    CHECK(later.newer[0] == 0 && later.newer[1] == 0);
    later.options.model_dir = model;
    later.options.threads = 1;
    later.options.memory_bytes = (int64_t)64 << 20;
    later.newer[1] = 1;
    INVALID(molink_engine_create(&later.options, &engine));
    CHECK(engine == NULL);
    later.newer[1] = 0;
    CHECK_OK(molink_engine_create(&later.options, &engine));
    CHECK_OK(molink_engine_destroy(engine));
}

/* The _init functions and the macros give equal structs. */
static void defaults(void) {
    const molink_engine_options engine = MOLINK_ENGINE_OPTIONS_INIT;
    const molink_worker_options worker = MOLINK_WORKER_OPTIONS_INIT;
    const molink_request request = MOLINK_REQUEST_INIT;
    molink_engine_options engine_found;
    molink_worker_options worker_found;
    molink_request request_found;
    CHECK_OK(molink_engine_options_init(&engine_found, sizeof(engine_found)));
    CHECK_OK(molink_worker_options_init(&worker_found, sizeof(worker_found)));
    CHECK_OK(molink_request_init(&request_found, sizeof(request_found)));
    CHECK(memcmp(&engine, &engine_found, sizeof(engine)) == 0);
    CHECK(memcmp(&worker, &worker_found, sizeof(worker)) == 0);
    CHECK(memcmp(&request, &request_found, sizeof(request)) == 0);
}

static void refuse_options(molink_engine_options options, int32_t code) {
    molink_engine* engine = NULL;
    options.log_finalizer = never;
    options.progress_finalizer = never;
    CHECK_CODE(molink_engine_create(&options, &engine), code);
    CHECK(engine == NULL);
}

static void engine_options(const char* model) {
    molink_engine_options good = small_options(model), bad;
#define BAD(field, value) \
    bad = good, bad.field = value, refuse_options(bad, MOLINK_INVALID_ARGUMENT)
    BAD(model_dir, NULL);
    BAD(weights, 2);
    BAD(weights, -1);
    BAD(kv_type, MOLINK_BF16);
    BAD(kv_type, 256);
    BAD(wire_type, 4);
    BAD(wire_type, 256);
    BAD(scheduler_name, "best");
    BAD(transmit, "loud");
    BAD(partitioner, "odd");
    BAD(objective, 2);
    BAD(expected_prompt_tokens, 0);
    BAD(expected_output_tokens, 1000001);
    BAD(lm_head, 3);
    BAD(step_tokens, 5); /* adaptive has no fixed budget */
    BAD(latency_goal_us, -1);
    BAD(log_level, 4);
    BAD(block_tokens, 7);
    BAD(threads, -1);
    BAD(stages, -1);
    BAD(stages, 257);
    BAD(max_running, 0);
    BAD(max_waiting, -1);
    BAD(max_step_tokens, 0);
    BAD(max_slice_tokens, 100000);
    BAD(max_in_flight_bytes, 0);
    BAD(local_workers, -1);
    BAD(local_workers, 65);
    BAD(listen, "nonsense");
    BAD(listen, "tcp://0.0.0.0:*");
#undef BAD
    bad = good;
    bad.local_workers = 1;
    bad.listen = "tcp://127.0.0.1:*";
    refuse_options(bad, MOLINK_INVALID_ARGUMENT);
    bad.listen = NULL;
    bad.stages = 3;
    refuse_options(bad, MOLINK_INVALID_ARGUMENT);
    bad = good;
    bad.model_dir = "no/such/folder";
    refuse_options(bad, MOLINK_NOT_FOUND);
    bad = good;
    bad.backend = "none such";
    refuse_options(bad, MOLINK_NOT_FOUND);
}

static void scheduler_tables(const char* model) {
    molink_engine_options options = small_options(model);
    molink_scheduler_vtable table = MOLINK_SCHEDULER_VTABLE_INIT;
    options.scheduler = &table;
    table.destroy = never;
    table.name = "bad";
    refuse_options(options, MOLINK_INVALID_ARGUMENT); /* no plan */
    table.plan = never_plan;
    table.name = NULL;
    refuse_options(options, MOLINK_INVALID_ARGUMENT);
    table.name = "bad";
    table.abi_version = MOLINK_PLUGIN_ABI_VERSION + 1;
    refuse_options(options, MOLINK_INVALID_ARGUMENT);
    table.abi_version = 0;
    refuse_options(options, MOLINK_INVALID_ARGUMENT);
    table.abi_version = MOLINK_PLUGIN_ABI_VERSION;
    table.struct_size = 0;
    refuse_options(options, MOLINK_INVALID_ARGUMENT);
    /* A valid table, but the engine cannot be made: no function of the table is called. */
    table.struct_size = sizeof(table);
    options.model_dir = "no/such/folder";
    refuse_options(options, MOLINK_NOT_FOUND);
}

static void refuse_request(molink_engine* engine, molink_queue* queue, molink_request request) {
    uint64_t id = 77;
    INVALID(molink_engine_submit(engine, &request, never_event, NULL, never, &id));
    INVALID(molink_engine_submit_to_queue(engine, &request, queue, NULL, &id));
    CHECK(id == 77);
}

static void request_values(molink_engine* engine, molink_queue* queue) {
    molink_request good = MOLINK_REQUEST_INIT, bad;
    const int32_t outside = 4096;
    const char* no_text = NULL;
    const char* empty = "";
    float bias = 1.0f;
    good.prompt = "In the";
#define BAD(field, value) bad = good, bad.field = value, refuse_request(engine, queue, bad)
    BAD(struct_size, 0);
    BAD(prompt, NULL);
    BAD(prompt, "");
    BAD(prompt, "\xc3\x28");
    BAD(prompt_token_count, 1);
    BAD(max_tokens, -1);
    BAD(min_tokens, 129);
    BAD(n, 0);
    BAD(n, 65);
    BAD(stop_token_count, 1);
    BAD(stop_count, 1);
    BAD(bias_count, 1);
    BAD(logprobs, 21);
    BAD(logprobs, -2);
    BAD(repetition_penalty, 0.0f);
    BAD(presence_penalty, 101.0f);
    BAD(frequency_penalty, -101.0f);
    BAD(temperature, -1.0f);
    BAD(top_k, -1);
    BAD(top_p, 0.0f);
    BAD(top_p, 1.5f);
    BAD(min_p, 2.0f);
#undef BAD
    bad = good;
    bad.prompt_tokens = &outside;
    bad.prompt_token_count = 1;
    refuse_request(engine, queue, bad);
    bad = good;
    bad.stop = &no_text;
    bad.stop_count = 1;
    refuse_request(engine, queue, bad);
    bad.stop = &empty;
    refuse_request(engine, queue, bad);
    bad = good;
    bad.bias_tokens = &outside;
    bad.bias_values = &bias;
    bad.bias_count = 1;
    refuse_request(engine, queue, bad);
    INVALID(molink_engine_submit(engine, NULL, never_event, NULL, never, NULL));
    INVALID(molink_engine_submit(engine, &good, NULL, NULL, never, NULL));
    INVALID(molink_engine_submit_to_queue(engine, &good, NULL, NULL, NULL));
}

/* NULL outputs and missing lists, on an engine that serves. */
static void outputs(molink_engine* engine, molink_queue* queue) {
    molink_model_info model = MOLINK_MODEL_INFO_INIT;
    const molink_event* event = (const molink_event*)&model;
    int32_t token = 0;
    size_t count = 5;
    char text[4];
    INVALID(molink_engine_model(engine, NULL));
    model.struct_size = 3;
    INVALID(molink_engine_model(engine, &model));
    INVALID(molink_engine_cluster(engine, NULL));
    INVALID(molink_engine_metrics(engine, NULL));
    INVALID(molink_queue_next(queue, 0, NULL));
    INVALID(molink_engine_tokenize(engine, NULL, 1, 0, &token, 1, &count));
    INVALID(molink_engine_tokenize(engine, "a", 1, 0, NULL, 1, &count));
    INVALID(molink_engine_tokenize(engine, "a", 1, 0, &token, 1, NULL));
    INVALID(molink_engine_detokenize(engine, NULL, 1, text, 4, &count));
    INVALID(molink_engine_detokenize(engine, &token, 1, NULL, 4, &count));
    INVALID(molink_engine_detokenize(engine, &token, 1, text, 4, NULL));
    CHECK(count == 5);
    token = -5; /* outside the vocabulary: no bytes */
    CHECK_OK(molink_engine_detokenize(engine, &token, 1, text, 4, &count));
    CHECK(count == 0);
    /* An empty queue is not an error. */
    CHECK_OK(molink_queue_next(queue, 0, &event));
    CHECK(event == NULL);
    CHECK_OK(molink_queue_next(queue, 1000, &event));
    CHECK(event == NULL);
}

static void worker_options(const char* model) {
    molink_worker_options options = MOLINK_WORKER_OPTIONS_INIT;
    molink_worker* worker = NULL;
    options.log_finalizer = never;
    options.model_dir = model;
    INVALID(molink_worker_create(&options, &worker)); /* no head */
    options.join = "nonsense";
    INVALID(molink_worker_create(&options, &worker));
    options.join = "tcp://127.0.0.1:1";
    options.model_dir = NULL;
    INVALID(molink_worker_create(&options, &worker));
    options.model_dir = model;
    options.weights = 9;
    INVALID(molink_worker_create(&options, &worker));
    options.weights = 0;
    options.struct_size = 0;
    INVALID(molink_worker_create(&options, &worker));
    CHECK(worker == NULL);
}

/* Valid calls in the wrong state. */
static void wrong_states(const char* model) {
    molink_engine_options options = small_options(model);
    molink_request request = MOLINK_REQUEST_INIT;
    molink_engine* engine = NULL;
    molink_cluster* cluster = NULL;
    molink_metrics* metrics = NULL;
    molink_cluster_info info = MOLINK_CLUSTER_INFO_INIT;
    options.stages = 2; /* the second node never joins */
    request.prompt = "In the";
    CHECK_OK(molink_engine_create(&options, &engine));
    CHECK_CODE(molink_engine_wait_ready(engine, 1000), MOLINK_DEADLINE_EXCEEDED);
    CHECK_CODE(molink_engine_submit(engine, &request, never_event, NULL, never, NULL),
               MOLINK_UNAVAILABLE);
    CHECK_OK(molink_engine_close(engine));
    CHECK_OK(molink_engine_close(engine));
    CHECK_CODE(molink_engine_wait_ready(engine, 1000), MOLINK_CANCELLED);
    CHECK_CODE(molink_engine_submit(engine, &request, never_event, NULL, never, NULL),
               MOLINK_FAILED_PRECONDITION);
    CHECK_OK(molink_engine_cancel(engine, 1));
    CHECK_OK(molink_engine_cluster(engine, &cluster));
    CHECK_OK(molink_cluster_get(cluster, &info));
    CHECK(info.state == MOLINK_ENGINE_CLOSED);
    molink_cluster_release(cluster);
    CHECK_OK(molink_engine_metrics(engine, &metrics));
    molink_metrics_release(metrics);
    CHECK_OK(molink_engine_destroy(engine));
}

int main(int argc, char** argv) {
    molink_engine* engine;
    molink_queue* queue = NULL;
    if (argc < 2) return 2;
    null_handles();
    names();
    timeouts();
    defaults();
    struct_sizes(argv[1]);
    engine_options(argv[1]);
    scheduler_tables(argv[1]);
    worker_options(argv[1]);
    wrong_states(argv[1]);
    engine = ready_engine(argv[1]);
    CHECK_OK(molink_queue_create(&queue));
    request_values(engine, queue);
    outputs(engine, queue);
    CHECK_OK(molink_engine_destroy(engine));
    molink_queue_destroy(queue);
    CHECK(called == 0);
    return 0;
}
