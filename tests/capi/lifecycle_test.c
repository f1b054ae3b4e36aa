/* Creates, uses and destroys two engines at once, N times (second argument; default 20). No thread
 * and no file remains, and the engines do not affect each other. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void round_of_two(const char* model, int round, const char* expected) {
    molink_engine* first = ready_engine(model);
    molink_engine* second = NULL;
    molink_engine_options options = small_options(model);
    collector events;
    molink_request request = MOLINK_REQUEST_INIT;
    char text[1024];
    options.kv_type = MOLINK_F32;
    options.max_running = 2;
    second = ready_engine_with(&options);
    request.prompt = "In the beginning";
    request.max_tokens = 16;
    collector_init(&events);
    CHECK_OK(
        molink_engine_submit(first, &request, collector_event, &events, collector_finalize, NULL));
    generate(second, "In the beginning", 16, text, sizeof(text));
    collector_wait(&events);
    CHECK(strcmp(text, expected) == 0 && strcmp(events.text, expected) == 0);
    /* The engines may be destroyed in either order. */
    CHECK_OK(molink_engine_destroy(round % 2 == 0 ? first : second));
    generate(round % 2 == 0 ? second : first, "In the beginning", 16, text, sizeof(text));
    CHECK(strcmp(text, expected) == 0);
    CHECK_OK(molink_engine_destroy(round % 2 == 0 ? second : first));
}

int main(int argc, char** argv) {
    const int rounds = argc > 2 ? atoi(argv[2]) : 20;
    char expected[1024];
    molink_engine* engine;
    int threads, files, round;
    if (argc < 2) return 2;
    /* The first engine may leave what a process creates once, such as a sanitizer's thread. */
    engine = ready_engine(argv[1]);
    generate(engine, "In the beginning", 16, expected, sizeof(expected));
    CHECK_OK(molink_engine_destroy(engine));
    threads = count_threads();
    files = count_files();
    for (round = 0; round < rounds; ++round) {
        round_of_two(argv[1], round, expected);
        CHECK(count_threads() == threads);
        CHECK(count_files() == files);
    }
    printf("%d rounds, %d threads, %d files\n", rounds, threads - 2, files - 2);
    return 0;
}
