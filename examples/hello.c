/* The smallest program in C: one process, one model, one prompt, events pulled from a queue. */
#include <stdio.h>

#include <molink.h>

static int failed(molink_error* error) {
    if (error == NULL) return 0;
    fprintf(stderr, "%s\n", molink_error_message(error));
    molink_error_release(error);
    return 1;
}

int main(int argc, char** argv) {
    molink_engine_options options = MOLINK_ENGINE_OPTIONS_INIT;
    molink_request request = MOLINK_REQUEST_INIT;
    molink_engine* engine = NULL;
    molink_queue* queue = NULL;
    int last = 0;

    options.model_dir = argc > 1 ? argv[1] : "examples/models/kjv";
    request.prompt = "In the beginning";
    if (failed(molink_engine_create(&options, &engine))) return 1;
    if (failed(molink_engine_wait_ready(engine, 60000000))) return 1;
    if (failed(molink_queue_create(&queue))) return 1;
    if (failed(molink_engine_submit_to_queue(engine, &request, queue, NULL, NULL))) return 1;
    while (!last) {
        const molink_event* event = NULL;
        if (failed(molink_queue_next(queue, MOLINK_WAIT_FOREVER, &event))) return 1;
        fwrite(event->text, 1, event->text_size, stdout);
        fflush(stdout);
        last = event->last;
        molink_event_release(event);
    }
    printf("\n");
    molink_queue_destroy(queue);
    return failed(molink_engine_destroy(engine));
}
