/* A process forks while it runs an engine, a worker and a queue. In the child every function
 * refuses and destroying has no effect; the parent goes on. */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int finalized = 0;

static void on_log(void* user_data, int32_t level, const char* message, size_t size) {
    (void)user_data, (void)level, (void)message, (void)size;
}

static void finalize(void* user_data) {
    (void)user_data;
    ++finalized;
}

static molink_engine* head_of_two(const char* model) {
    molink_engine_options options = small_options(model);
    molink_engine* engine = NULL;
    options.stages = 2;
    options.log = on_log;
    options.log_finalizer = finalize;
    CHECK_OK(molink_engine_create(&options, &engine));
    return engine;
}

static molink_worker* join(const char* model, const molink_engine* engine) {
    molink_worker_options options = MOLINK_WORKER_OPTIONS_INIT;
    molink_worker* worker = NULL;
    options.model_dir = model;
    options.join = molink_engine_address(engine);
    options.threads = 1;
    options.memory_bytes = (int64_t)64 << 20;
    options.log = on_log;
    options.log_finalizer = finalize;
    CHECK_OK(molink_worker_create(&options, &worker));
    return worker;
}

#define REFUSED(call) CHECK_CODE((call), MOLINK_FAILED_PRECONDITION)

static void use_engine(molink_engine* engine, molink_queue* queue) {
    molink_request request = MOLINK_REQUEST_INIT;
    molink_model_info info = MOLINK_MODEL_INFO_INIT;
    molink_cluster* cluster = NULL;
    molink_metrics* metrics = NULL;
    collector events;
    int32_t token = 0;
    size_t count = 0;
    char text[8];
    collector_init(&events);
    request.prompt = "In";
    REFUSED(molink_engine_wait_ready(engine, MOLINK_WAIT_FOREVER));
    REFUSED(
        molink_engine_submit(engine, &request, collector_event, &events, collector_finalize, NULL));
    REFUSED(molink_engine_submit_to_queue(engine, &request, queue, NULL, NULL));
    REFUSED(molink_engine_cancel(engine, 1));
    REFUSED(molink_engine_model(engine, &info));
    REFUSED(molink_engine_tokenize(engine, "a", 1, 0, &token, 1, &count));
    REFUSED(molink_engine_detokenize(engine, &token, 1, text, sizeof(text), &count));
    REFUSED(molink_engine_cluster(engine, &cluster));
    REFUSED(molink_engine_metrics(engine, &metrics));
    REFUSED(molink_engine_close(engine));
    CHECK(molink_engine_address(engine)[0] == '\0');
    CHECK(events.events == 0 && events.finalized == 0);
    CHECK_OK(molink_engine_destroy(engine));
}

static void use_worker(molink_worker* worker) {
    molink_worker_info info = MOLINK_WORKER_INFO_INIT;
    molink_metrics* metrics = NULL;
    REFUSED(molink_worker_wait(worker, MOLINK_WAIT_FOREVER));
    REFUSED(molink_worker_get(worker, &info));
    REFUSED(molink_worker_metrics(worker, &metrics));
    REFUSED(molink_worker_close(worker));
    CHECK_OK(molink_worker_destroy(worker));
}

static void use_all(molink_engine* engine, molink_worker* worker, molink_queue* queue) {
    const molink_event* event = NULL;
    use_engine(engine, queue);
    use_worker(worker);
    REFUSED(molink_queue_next(queue, MOLINK_WAIT_FOREVER, &event));
    molink_queue_destroy(queue);
    CHECK(finalized == 0);
}

static void fork_and_use(molink_engine* engine, molink_worker* worker, molink_queue* queue) {
    const pid_t child = fork();
    int state = 0;
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60); /* ends a child that hangs */
        use_all(engine, worker, queue);
        _exit(0);
    }
    CHECK(waitpid(child, &state, 0) == child);
    CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
}

int main(int argc, char** argv) {
    molink_request request = MOLINK_REQUEST_INIT;
    molink_queue* queue = NULL;
    molink_engine* engine;
    molink_worker* worker;
    collector events;
    char expected[1024];
    int i;
    if (argc < 2) return 2;
    engine = head_of_two(argv[1]);
    worker = join(argv[1], engine);
    CHECK_OK(molink_queue_create(&queue));
    CHECK_OK(molink_engine_wait_ready(engine, 60000000));
    generate(engine, "In the beginning", 64, expected, sizeof(expected));
    collector_init(&events);
    request.prompt = "In the beginning";
    request.max_tokens = 64;
    CHECK_OK(
        molink_engine_submit(engine, &request, collector_event, &events, collector_finalize, NULL));
    for (i = 0; i < 8; ++i) fork_and_use(engine, worker, queue);
    collector_wait(&events);
    CHECK(strcmp(events.text, expected) == 0);
    CHECK_OK(molink_engine_destroy(engine));
    CHECK_OK(molink_worker_destroy(worker));
    molink_queue_destroy(queue);
    CHECK(finalized == 2);
    return 0;
}
