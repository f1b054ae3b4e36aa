/* Code that the C tests share: checks that name their line, a collector of events, and counts of
 * the threads and files of a process. */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <molink.h>

#define CHECK(condition) check_true((condition) != 0, #condition, __FILE__, __LINE__)
#define CHECK_OK(call) check_code((call), MOLINK_OK, #call, __FILE__, __LINE__)
#define CHECK_CODE(call, code) check_code((call), (code), #call, __FILE__, __LINE__)

/* Prints the place and ends the program with status 1 if the condition does not hold. */
void check_true(int holds, const char* what, const char* file, int line);
/* Releases the error. Ends the program if its code is another, or if an error has no message. */
void check_code(molink_error* error, int32_t code, const char* what, const char* file, int line);

/* Receives the events of one request. collector_event and collector_finalize get its address as
 * user_data. Any thread may call the functions. */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    char text[8192]; /* of completion 0 */
    int32_t tokens[1024];
    size_t token_count;
    int events;
    int ends;       /* events with a finish_reason */
    int lasts;      /* events with `last` */
    int after_last; /* events after `last`; must stay 0 */
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
/* Waits until the finalizer was called. */
void collector_wait(collector* events);
/* Waits until there were `count` events. */
void collector_wait_events(collector* events, int count);

/* Makes an engine on the folder `model` with small_options, and waits until it serves. */
molink_engine* ready_engine(const char* model);
molink_engine* ready_engine_with(const molink_engine_options* options);
molink_engine_options small_options(const char* model);
/* Writes the text of one greedy generation, which goes through a queue. */
void generate(molink_engine* engine, const char* prompt, int32_t max_tokens, char* text,
              size_t capacity);

/* Return the number of entries in /proc/self/task and /proc/self/fd. */
int count_threads(void);
int count_files(void);
