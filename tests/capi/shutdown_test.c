/* Tests the end of an engine. Its callbacks cannot close or destroy it. Every outstanding request
 * gets one last event and one call of its finalizer before destroy returns. */
#include "support.h"

#include <stdio.h>
#include <string.h>

enum { kRequests = 24 };

typedef struct {
    collector events; /* first: the collector's callbacks get its address */
    molink_engine* engine;
    int refused_in_event, refused_in_finalizer;
} intruder;

static void destroy_in_event(void* user_data, const molink_event* event) {
    intruder* self = user_data;
    CHECK_CODE(molink_engine_destroy(self->engine), MOLINK_FAILED_PRECONDITION);
    CHECK_CODE(molink_engine_close(self->engine), MOLINK_FAILED_PRECONDITION);
    ++self->refused_in_event;
    collector_event(user_data, event);
}

static void destroy_in_finalizer(void* user_data) {
    intruder* self = user_data;
    CHECK_CODE(molink_engine_destroy(self->engine), MOLINK_FAILED_PRECONDITION);
    ++self->refused_in_finalizer;
    collector_finalize(user_data);
}

static molink_request long_request(void) {
    molink_request request = MOLINK_REQUEST_INIT;
    request.prompt = "In the beginning";
    request.max_tokens = 400;
    request.ignore_eos = 1;
    return request;
}

static void refused_in_request_callbacks(const char* model) {
    intruder self;
    molink_request request = long_request();
    memset(&self, 0, sizeof(self));
    collector_init(&self.events);
    self.engine = ready_engine(model);
    request.max_tokens = 3;
    CHECK_OK(molink_engine_submit(self.engine, &request, destroy_in_event, &self,
                                  destroy_in_finalizer, NULL));
    collector_wait(&self.events);
    CHECK(self.refused_in_event == self.events.events && self.refused_in_finalizer == 1);
    CHECK(self.events.finish_reason == MOLINK_FINISH_LENGTH && self.events.token_count == 3);
    CHECK_OK(molink_engine_destroy(self.engine));
}

/* For the callbacks of the options, log and progress. The log may be called before there is a
 * handle. */
typedef struct {
    pthread_mutex_t mutex;
    molink_engine* engine;
    int refused;
} options_intruder;

static void try_destroy(options_intruder* self) {
    pthread_mutex_lock(&self->mutex);
    if (self->engine != NULL) {
        CHECK_CODE(molink_engine_destroy(self->engine), MOLINK_FAILED_PRECONDITION);
        ++self->refused;
    }
    pthread_mutex_unlock(&self->mutex);
}

static void destroy_in_log(void* user_data, int32_t level, const char* message, size_t size) {
    (void)level;
    (void)message;
    (void)size;
    try_destroy(user_data);
}

static void destroy_in_progress(void* user_data, const molink_progress* progress) {
    (void)progress;
    try_destroy(user_data);
}

static void refused_in_option_callbacks(const char* model) {
    options_intruder in_log, in_progress;
    molink_engine_options options = small_options(model);
    molink_engine* engine = NULL;
    memset(&in_log, 0, sizeof(in_log));
    memset(&in_progress, 0, sizeof(in_progress));
    pthread_mutex_init(&in_log.mutex, NULL);
    pthread_mutex_init(&in_progress.mutex, NULL);
    options.log = destroy_in_log;
    options.log_user_data = &in_log;
    options.log_level = MOLINK_LOG_DEBUG;
    options.progress = destroy_in_progress;
    options.progress_user_data = &in_progress;
    CHECK_OK(molink_engine_create(&options, &engine));
    pthread_mutex_lock(&in_log.mutex);
    in_log.engine = engine;
    pthread_mutex_unlock(&in_log.mutex);
    in_progress.engine = engine;
    CHECK_OK(molink_engine_wait_ready(engine, 60000000));
    CHECK(in_progress.refused > 0);
    CHECK_OK(molink_engine_close(engine));
    pthread_mutex_lock(&in_log.mutex);
    in_log.engine = NULL;
    pthread_mutex_unlock(&in_log.mutex);
    CHECK_OK(molink_engine_destroy(engine));
}

static void check_ended_once(const collector* events) {
    CHECK(events->lasts == 1 && events->after_last == 0 && events->finalized == 1);
    CHECK(events->events_when_finalized == events->events);
    CHECK(events->finish_reason == MOLINK_FINISH_CANCELLED);
    CHECK(events->status == MOLINK_CANCELLED && events->has_message);
}

/* Ends the engine with running and waiting requests, after `first_events` events of the first. */
static void outstanding_by_callback(const char* model, int first_events, int close_first) {
    static collector events[kRequests];
    molink_engine_options options = small_options(model);
    const molink_request request = long_request();
    molink_engine* engine;
    int i;
    options.max_running = 4;
    engine = ready_engine_with(&options);
    for (i = 0; i < kRequests; ++i) {
        collector_init(&events[i]);
        CHECK_OK(molink_engine_submit(engine, &request, collector_event, &events[i],
                                      collector_finalize, NULL));
    }
    if (first_events > 0) collector_wait_events(&events[0], first_events);
    if (close_first) {
        CHECK_OK(molink_engine_close(engine));
        for (i = 0; i < kRequests; ++i) check_ended_once(&events[i]);
    }
    CHECK_OK(molink_engine_destroy(engine));
    for (i = 0; i < kRequests; ++i) check_ended_once(&events[i]);
}

/* The events of a queue outlive the engine. */
static void outstanding_by_queue(const char* model) {
    const molink_request request = long_request();
    molink_engine* engine = ready_engine(model);
    molink_queue* queue = NULL;
    collector events[kRequests];
    const molink_event* event = NULL;
    int i;
    CHECK_OK(molink_queue_create(&queue));
    for (i = 0; i < kRequests; ++i) {
        collector_init(&events[i]);
        CHECK_OK(molink_engine_submit_to_queue(engine, &request, queue, &events[i], NULL));
    }
    CHECK_OK(molink_queue_next(queue, MOLINK_WAIT_FOREVER, &event));
    collector_add(event->user_data, event);
    molink_event_release(event);
    CHECK_OK(molink_engine_destroy(engine));
    for (;;) {
        CHECK_OK(molink_queue_next(queue, 0, &event));
        if (event == NULL) break;
        collector_event(event->user_data, event);
        molink_event_release(event);
    }
    for (i = 0; i < kRequests; ++i) {
        CHECK(events[i].lasts == 1 && events[i].after_last == 0);
        CHECK(events[i].finish_reason == MOLINK_FINISH_CANCELLED);
    }
    molink_queue_destroy(queue);
}

/* A queue may be destroyed before its engine. An event that was taken from it stays valid. */
static void queue_before_engine(const char* model) {
    molink_request request = long_request();
    molink_engine* engine = ready_engine(model);
    molink_queue* queue = NULL;
    const molink_event* event = NULL;
    CHECK_OK(molink_queue_create(&queue));
    CHECK_OK(molink_engine_submit_to_queue(engine, &request, queue, NULL, NULL));
    CHECK_OK(molink_queue_next(queue, MOLINK_WAIT_FOREVER, &event));
    molink_queue_destroy(queue);
    CHECK_OK(molink_engine_destroy(engine));
    CHECK(event != NULL && event->index == 0 && event->text[event->text_size] == '\0');
    molink_event_release(event);
}

/* Callbacks may submit: in a chain, the last event of a request submits the next one. */
typedef struct {
    collector events;
    molink_engine* engine;
    int left;
} chain;

static void submit_next(void* user_data, const molink_event* event);

static void submit_chain(chain* self) {
    molink_request request = long_request();
    request.max_tokens = 2;
    CHECK_OK(molink_engine_submit(self->engine, &request, submit_next, self, NULL, NULL));
}

static void submit_next(void* user_data, const molink_event* event) {
    chain* self = user_data;
    if (!event->last) return;
    if (--self->left > 0) {
        submit_chain(self);
    } else {
        collector_finalize(&self->events);
    }
}

static void chain_of_requests(const char* model) {
    chain self;
    collector_init(&self.events);
    self.engine = ready_engine(model);
    self.left = 10;
    submit_chain(&self);
    collector_wait(&self.events);
    CHECK(self.left == 0);
    CHECK_OK(molink_engine_destroy(self.engine));
}

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    refused_in_request_callbacks(argv[1]);
    refused_in_option_callbacks(argv[1]);
    outstanding_by_callback(argv[1], 0, 0);
    outstanding_by_callback(argv[1], 1, 0);
    outstanding_by_callback(argv[1], 5, 1);
    outstanding_by_queue(argv[1]);
    queue_before_engine(argv[1]);
    chain_of_requests(argv[1]);
    return 0;
}
