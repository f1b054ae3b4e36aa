/* See support.h. */
#include "support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_true(int holds, const char* what, const char* file, int line) {
    if (holds) return;
    fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, what);
    exit(1);
}

void check_code(molink_error* error, int32_t code, const char* what, const char* file, int line) {
    const int32_t found = molink_error_code(error);
    const int says_why = error == NULL || molink_error_message(error)[0] != '\0';
    if (found != code || !says_why) {
        fprintf(stderr, "%s:%d: %s gave %s (%s), not %s\n", file, line, what,
                molink_status_name(found), molink_error_message(error), molink_status_name(code));
        exit(1);
    }
    molink_error_release(error);
}

void collector_init(collector* events) {
    memset(events, 0, sizeof(*events));
    pthread_mutex_init(&events->mutex, NULL);
    pthread_cond_init(&events->changed, NULL);
}

void collector_add(collector* events, const molink_event* event) {
    pthread_mutex_lock(&events->mutex);
    if (events->lasts > 0) ++events->after_last;
    ++events->events;
    if (event->index == 0) {
        CHECK(strlen(events->text) + event->text_size < sizeof(events->text));
        strncat(events->text, event->text, event->text_size);
        CHECK(events->token_count + event->token_count <= 1024);
        if (event->token_count > 0) {
            memcpy(events->tokens + events->token_count, event->tokens,
                   event->token_count * sizeof(int32_t));
        }
        events->token_count += event->token_count;
    }
    if (event->finish_reason != MOLINK_FINISH_NONE) ++events->ends;
    if (event->last) ++events->lasts;
    events->finish_reason = event->finish_reason;
    events->status = event->status;
    events->has_message = event->message[0] != '\0';
    pthread_cond_broadcast(&events->changed);
    pthread_mutex_unlock(&events->mutex);
}

void collector_event(void* user_data, const molink_event* event) {
    CHECK(event->user_data == user_data && event->struct_size == sizeof(*event));
    collector_add(user_data, event);
}

void collector_finalize(void* user_data) {
    collector* events = user_data;
    pthread_mutex_lock(&events->mutex);
    ++events->finalized;
    events->events_when_finalized = events->events;
    pthread_cond_broadcast(&events->changed);
    pthread_mutex_unlock(&events->mutex);
}

void collector_wait(collector* events) {
    pthread_mutex_lock(&events->mutex);
    while (events->finalized == 0) pthread_cond_wait(&events->changed, &events->mutex);
    pthread_mutex_unlock(&events->mutex);
}

void collector_wait_events(collector* events, int count) {
    pthread_mutex_lock(&events->mutex);
    while (events->events < count) pthread_cond_wait(&events->changed, &events->mutex);
    pthread_mutex_unlock(&events->mutex);
}

molink_engine_options small_options(const char* model) {
    molink_engine_options options = MOLINK_ENGINE_OPTIONS_INIT;
    options.model_dir = model;
    options.threads = 1;
    options.memory_bytes = (int64_t)64 << 20;
    options.max_context = 512;
    return options;
}

molink_engine* ready_engine_with(const molink_engine_options* options) {
    molink_engine* engine = NULL;
    CHECK_OK(molink_engine_create(options, &engine));
    CHECK_CODE(molink_engine_wait_ready(engine, -2), MOLINK_INVALID_ARGUMENT);
    CHECK_OK(molink_engine_wait_ready(engine, 60000000));
    return engine;
}

molink_engine* ready_engine(const char* model) {
    const molink_engine_options options = small_options(model);
    return ready_engine_with(&options);
}

void generate(molink_engine* engine, const char* prompt, int32_t max_tokens, char* text,
              size_t capacity) {
    molink_request request = MOLINK_REQUEST_INIT;
    molink_queue* queue = NULL;
    int last = 0;
    request.prompt = prompt;
    request.max_tokens = max_tokens;
    text[0] = '\0';
    CHECK_OK(molink_queue_create(&queue));
    CHECK_OK(molink_engine_submit_to_queue(engine, &request, queue, NULL, NULL));
    while (!last) {
        const molink_event* event = NULL;
        CHECK_OK(molink_queue_next(queue, MOLINK_WAIT_FOREVER, &event));
        CHECK(event->status == MOLINK_OK);
        CHECK(strlen(text) + event->text_size < capacity);
        strncat(text, event->text, event->text_size);
        last = event->last;
        molink_event_release(event);
    }
    molink_queue_destroy(queue);
}

static int count_entries(const char* folder) {
    DIR* entries = opendir(folder);
    int count = 0;
    CHECK(entries != NULL);
    while (readdir(entries) != NULL) ++count;
    closedir(entries);
    return count;
}

int count_threads(void) {
    return count_entries("/proc/self/task");
}

int count_files(void) {
    return count_entries("/proc/self/fd");
}
