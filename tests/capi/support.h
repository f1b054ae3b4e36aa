/* What the C tests share: checks that name their line, a collector of events, counts of what a
 * process holds. */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <molink.h>

#define CHECK(condition) check_true((condition) != 0, #condition, __FILE__, __LINE__)
#define CHECK_OK(call) check_code((call), MOLINK_OK, #call, __FILE__, __LINE__)
#define CHECK_CODE(call, code) check_code((call), (code), #call, __FILE__, __LINE__)

/* Ends the program with the place when the condition does not hold. */
void check_true(int holds, const char* what, const char* file, int line);
/* Releases the error; ends the program when its code is another. A failure needs a message. */
void check_code(molink_error* error, int32_t code, const char* what, const char* file, int line);

/* Receives the events of one request; collector_event and collector_finalize get its address. */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    char text[8192]; /* of completion 0 */
    int32_t tokens[1024];
    size_t token_count;
    int events;
    int ends;       /* events with a finish_reason */
    int lasts;      /* events with `last` */
    int after_last; /* events behind it: never */
    int finalized;
    int events_when_finalized;
    int32_t finish_reason; /* of the last event */
    int32_t status;
    int has_message;
} collector;

void collector_init(collector* events);
void collector_add(collector* events, const molink_event* event);
void collector_event(void* user_data, const molink_event* event);
void collector_finalize(void* user_data);
/* Until the finalizer was called. */
void collector_wait(collector* events);
void collector_wait_events(collector* events, int count);

/* A small engine on `model` that serves. */
molink_engine* ready_engine(const char* model);
molink_engine* ready_engine_with(const molink_engine_options* options);
molink_engine_options small_options(const char* model);
/* The text of one greedy generation through a queue. */
void generate(molink_engine* engine, const char* prompt, int32_t max_tokens, char* text,
              size_t capacity);

/* Entries of /proc/self/task and /proc/self/fd. */
int count_threads(void);
int count_files(void);
