/* Tests an engine through its C interface: the same output by callback and by queue, completions,
 * stops, seeds and log-probabilities, tokens, views, and the callbacks of its options. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char* const kPrompt = "And it came to pass";

static molink_request request_of(int32_t max_tokens) {
    molink_request request = MOLINK_REQUEST_INIT;
    request.prompt = kPrompt;
    request.max_tokens = max_tokens;
    return request;
}

/* Both ways give the same text, tokens and end. */
static void callback_equals_queue(molink_engine* engine) {
    collector by_callback, by_queue;
    molink_request request = request_of(40);
    molink_queue* queue = NULL;
    uint64_t first = 0, second = 0;
    request.temperature = 0.8f;
    request.has_seed = 1;
    request.seed = 7;
    collector_init(&by_callback);
    collector_init(&by_queue);
    CHECK_OK(molink_engine_submit(engine, &request, collector_event, &by_callback,
                                  collector_finalize, &first));
    collector_wait(&by_callback);
    CHECK_OK(molink_queue_create(&queue));
    CHECK_OK(molink_engine_submit_to_queue(engine, &request, queue, &by_queue, &second));
    while (by_queue.lasts == 0) {
        const molink_event* event = NULL;
        CHECK_OK(molink_queue_next(queue, MOLINK_WAIT_FOREVER, &event));
        CHECK(event->request == second && event->user_data == &by_queue);
        collector_add(&by_queue, event);
        if (event->last) {
            CHECK(event->output_token_count == 40 && event->prompt_token_count > 0);
            CHECK(event->time_to_first_token_us > 0);
            CHECK(event->total_us >= event->time_to_first_token_us);
        }
        molink_event_release(event);
    }
    CHECK(first != second);
    CHECK(strlen(by_callback.text) > 0 && strcmp(by_callback.text, by_queue.text) == 0);
    CHECK(by_callback.token_count == 40 && by_queue.token_count == 40);
    CHECK(memcmp(by_callback.tokens, by_queue.tokens, 40 * sizeof(int32_t)) == 0);
    CHECK(by_callback.finish_reason == MOLINK_FINISH_LENGTH && by_callback.status == MOLINK_OK);
    CHECK(by_callback.ends == 1 && by_callback.lasts == 1 && by_callback.after_last == 0);
    CHECK(by_callback.finalized == 1);
    CHECK(by_callback.events_when_finalized == by_callback.events);
    molink_queue_destroy(queue);
}

/* Three completions end once each, and the request ends once. */
static void several_completions(molink_engine* engine) {
    collector events;
    molink_request request = request_of(12);
    request.n = 3;
    request.temperature = 1.0f;
    collector_init(&events);
    CHECK_OK(
        molink_engine_submit(engine, &request, collector_event, &events, collector_finalize, NULL));
    collector_wait(&events);
    CHECK(events.ends == 3 && events.lasts == 1 && events.after_last == 0);
    CHECK(events.finalized == 1);
}

/* Many requests share one queue. Log-probabilities are flat arrays. */
static void shared_queue_and_logprobs(molink_engine* engine) {
    molink_queue* queue = NULL;
    int tags[4] = {0, 0, 0, 0};
    int lasts = 0, i;
    CHECK_OK(molink_queue_create(&queue));
    for (i = 0; i < 4; ++i) {
        molink_request request = request_of(6);
        request.logprobs = i;
        CHECK_OK(molink_engine_submit_to_queue(engine, &request, queue, &tags[i], NULL));
    }
    while (lasts < 4) {
        const molink_event* event = NULL;
        size_t t;
        CHECK_OK(molink_queue_next(queue, MOLINK_WAIT_FOREVER, &event));
        i = (int)((int*)event->user_data - tags);
        CHECK(i >= 0 && i < 4);
        tags[i] += (int)event->token_count;
        CHECK(event->token_count == 0 || event->logprobs != NULL);
        for (t = 0; t < event->token_count; ++t) {
            const size_t begin = event->top_offsets[t], end = event->top_offsets[t + 1];
            CHECK(event->logprobs[t] <= 0 && end - begin == (size_t)i);
            /* Greedy without penalties chooses the most likely token. */
            CHECK(begin == end || event->top_tokens[begin] == event->tokens[t]);
            CHECK(begin == end || event->top_logprobs[begin] == event->logprobs[t]);
        }
        lasts += event->last;
        molink_event_release(event);
    }
    for (i = 0; i < 4; ++i) CHECK(tags[i] == 6);
    molink_queue_destroy(queue);
}

static void stops_and_bias(molink_engine* engine) {
    char plain[1024], forbidden[1024];
    collector events;
    const char* stop = " the";
    const float never = -100.0f;
    molink_request request = request_of(40);
    generate(engine, kPrompt, 40, plain, sizeof(plain));
    CHECK(strstr(plain, stop) != NULL);
    request.stop = &stop;
    request.stop_count = 1;
    collector_init(&events);
    CHECK_OK(
        molink_engine_submit(engine, &request, collector_event, &events, collector_finalize, NULL));
    collector_wait(&events);
    CHECK(events.finish_reason == MOLINK_FINISH_STOP && strstr(events.text, stop) == NULL);
    CHECK(strncmp(plain, events.text, strlen(events.text)) == 0);
    CHECK((size_t)(strstr(plain, stop) - plain) == strlen(events.text));

    request = request_of(1);
    collector_init(&events);
    CHECK_OK(
        molink_engine_submit(engine, &request, collector_event, &events, collector_finalize, NULL));
    collector_wait(&events);
    strcpy(forbidden, events.text);
    request.bias_tokens = events.tokens;
    request.bias_values = &never;
    request.bias_count = 1;
    CHECK(events.token_count == 1);
    {
        collector other;
        collector_init(&other);
        CHECK_OK(molink_engine_submit(engine, &request, collector_event, &other, collector_finalize,
                                      NULL));
        collector_wait(&other);
        CHECK(other.token_count == 1 && other.tokens[0] != events.tokens[0]);
    }
}

/* Converts text to tokens and back. A prompt of tokens gives the same output as its text. */
static void tokens_and_text(molink_engine* engine) {
    int32_t tokens[64];
    char text[256], plain[512];
    collector events;
    molink_request request = MOLINK_REQUEST_INIT;
    size_t count = 0, size = 0, all = 0;
    CHECK_OK(molink_engine_tokenize(engine, kPrompt, strlen(kPrompt), 0, tokens, 64, &count));
    CHECK(count > 1 && count < 64);
    CHECK_OK(molink_engine_detokenize(engine, tokens, count, text, sizeof(text), &size));
    CHECK(size == strlen(kPrompt) && memcmp(text, kPrompt, size) == 0);
    /* Without a buffer only the size is returned. A buffer that is too small gets the beginning. */
    CHECK_OK(molink_engine_tokenize(engine, kPrompt, strlen(kPrompt), 0, NULL, 0, &all));
    CHECK(all == count);
    memset(text, 'x', 4);
    CHECK_OK(molink_engine_detokenize(engine, tokens, count, text, 3, &size));
    CHECK(size == strlen(kPrompt) && memcmp(text, kPrompt, 3) == 0 && text[3] == 'x');
    CHECK_CODE(molink_engine_tokenize(engine, "\xff\xfe", 2, 0, tokens, 64, &count),
               MOLINK_INVALID_ARGUMENT);

    CHECK_OK(molink_engine_tokenize(engine, kPrompt, strlen(kPrompt), 1, tokens, 64, &count));
    request.prompt_tokens = tokens;
    request.prompt_token_count = count;
    request.max_tokens = 10;
    collector_init(&events);
    CHECK_OK(
        molink_engine_submit(engine, &request, collector_event, &events, collector_finalize, NULL));
    collector_wait(&events);
    generate(engine, kPrompt, 10, plain, sizeof(plain));
    CHECK(strcmp(plain, events.text) == 0);
}

static void cancel_is_one_event(molink_engine* engine) {
    collector events;
    molink_request request = request_of(400);
    uint64_t id = 0;
    request.ignore_eos = 1;
    collector_init(&events);
    CHECK_OK(
        molink_engine_submit(engine, &request, collector_event, &events, collector_finalize, &id));
    collector_wait_events(&events, 1);
    CHECK_OK(molink_engine_cancel(engine, id));
    CHECK_OK(molink_engine_cancel(engine, id));
    collector_wait(&events);
    CHECK(events.lasts == 1 && events.ends == 1 && events.after_last == 0);
    CHECK(events.finish_reason == MOLINK_FINISH_CANCELLED && events.status == MOLINK_CANCELLED);
    CHECK(events.has_message && events.token_count < 400);
    CHECK_OK(molink_engine_cancel(engine, id));
    CHECK_OK(molink_engine_cancel(engine, 123456789));
}

static void views(molink_engine* engine) {
    molink_model_info model = MOLINK_MODEL_INFO_INIT;
    molink_cluster_info cluster_info = MOLINK_CLUSTER_INFO_INIT;
    molink_node_info node = MOLINK_NODE_INFO_INIT;
    molink_metrics_info info = MOLINK_METRICS_INFO_INIT;
    molink_histogram_info histogram = MOLINK_HISTOGRAM_INFO_INIT;
    molink_stage_info stage = MOLINK_STAGE_INFO_INIT;
    molink_cluster* cluster = NULL;
    molink_metrics* metrics = NULL;
    uint32_t id = 99;
    int32_t which;
    CHECK_OK(molink_engine_model(engine, &model));
    CHECK(strcmp(model.architecture, "LlamaForCausalLM") == 0 && model.layers == 8);
    CHECK(model.vocabulary == 4096 && model.hidden == 256 && model.eos_token == 1);
    CHECK(strncmp(molink_engine_address(engine), "tcp://127.0.0.1:", 16) == 0);

    CHECK_OK(molink_engine_cluster(engine, &cluster));
    CHECK_OK(molink_cluster_get(cluster, &cluster_info));
    CHECK(cluster_info.state == MOLINK_ENGINE_READY && cluster_info.node_count == 1);
    CHECK(cluster_info.stage_count == 1 && cluster_info.missing[0] == '\0');
    CHECK_OK(molink_cluster_node(cluster, 0, &node));
    CHECK(node.layers_begin == 0 && node.layers_end == 8 && node.state == MOLINK_NODE_READY);
    CHECK(node.weight_bytes > 0 && node.loaded_bytes == node.weight_bytes && node.kv_blocks > 0);
    CHECK_OK(molink_cluster_stage(cluster, 0, &id));
    CHECK(id == node.id);
    CHECK_CODE(molink_cluster_node(cluster, 1, &node), MOLINK_NOT_FOUND);
    CHECK_CODE(molink_cluster_stage(cluster, 1, &id), MOLINK_NOT_FOUND);
    molink_cluster_release(cluster);

    CHECK_OK(molink_engine_metrics(engine, &metrics));
    CHECK_OK(molink_metrics_get(metrics, &info));
    CHECK(info.requests_finished >= 5 && info.requests_cancelled == 1 && info.output_tokens > 100);
    CHECK(info.stage_count == 1 && info.kv_blocks_total > 0 && info.running == 0);
    CHECK_OK(molink_metrics_stage(metrics, 0, &stage));
    CHECK(stage.layers_end == 8 && stage.parts > 0 && stage.compute_us > 0);
    for (which = MOLINK_TIME_TO_FIRST_TOKEN; which <= MOLINK_TIME_OF_REQUEST; ++which) {
        CHECK_OK(molink_metrics_histogram(metrics, which, &histogram));
        CHECK(histogram.count > 0 && histogram.bound_count > 0 && isfinite(histogram.sum));
    }
    CHECK_CODE(molink_metrics_histogram(metrics, 4, &histogram), MOLINK_NOT_FOUND);
    CHECK_CODE(molink_metrics_histogram(metrics, -1, &histogram), MOLINK_NOT_FOUND);
    CHECK_CODE(molink_metrics_stage(metrics, 1, &stage), MOLINK_NOT_FOUND);
    molink_metrics_release(metrics);
}

typedef struct {
    pthread_mutex_t mutex;
    int lines, finalized, reports, progress_finalized;
    int32_t last_state;
    int64_t last_loaded, last_total;
} observed;

static void on_log(void* user_data, int32_t level, const char* message, size_t size) {
    observed* seen = user_data;
    CHECK(level >= MOLINK_LOG_ERROR && level <= MOLINK_LOG_INFO && strlen(message) == size);
    pthread_mutex_lock(&seen->mutex);
    CHECK(seen->finalized == 0);
    ++seen->lines;
    pthread_mutex_unlock(&seen->mutex);
}

static void on_log_end(void* user_data) {
    ++((observed*)user_data)->finalized;
}

static void on_progress(void* user_data, const molink_progress* progress) {
    observed* seen = user_data;
    CHECK(progress->struct_size == sizeof(*progress) && seen->progress_finalized == 0);
    ++seen->reports;
    seen->last_state = progress->state;
    seen->last_loaded = progress->loaded_bytes;
    seen->last_total = progress->weight_bytes;
}

static void on_progress_end(void* user_data) {
    ++((observed*)user_data)->progress_finalized;
}

int main(int argc, char** argv) {
    observed seen;
    molink_engine_options options;
    molink_engine* engine;
    if (argc < 2) return 2;
    memset(&seen, 0, sizeof(seen));
    pthread_mutex_init(&seen.mutex, NULL);
    options = small_options(argv[1]);
    options.log = on_log;
    options.log_user_data = &seen;
    options.log_finalizer = on_log_end;
    options.progress = on_progress;
    options.progress_user_data = &seen;
    options.progress_finalizer = on_progress_end;
    engine = ready_engine_with(&options);
    CHECK(seen.reports > 0 && seen.last_state == MOLINK_ENGINE_READY);
    CHECK(seen.last_total > 0 && seen.last_loaded == seen.last_total);

    callback_equals_queue(engine);
    several_completions(engine);
    shared_queue_and_logprobs(engine);
    stops_and_bias(engine);
    tokens_and_text(engine);
    cancel_is_one_event(engine);
    views(engine);
    CHECK(seen.finalized == 0 && seen.progress_finalized == 0);
    CHECK_OK(molink_engine_destroy(engine));
    CHECK(seen.lines > 0 && seen.finalized == 1 && seen.progress_finalized == 1);
    return 0;
}
