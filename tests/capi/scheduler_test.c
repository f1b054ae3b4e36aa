/* Tests a scheduler that is a table of C functions. It plans, and is not called after destroy. If
 * its plans are wrong, the engine counts them and serves all the same. */
#include "support.h"

#include <molink_plugin.h>
#include <stdio.h>
#include <string.h>

enum { kRequests = 8, kTokens = 24, kKnown = 128, kMostDrafts = 4 };

typedef struct {
    int wrong;  /* every plan decodes a sequence that does not exist */
    int drafts; /* drafts from the longest sequence, or a made-up token */
    int plans, rows_observed, parts_observed, drafted, destroyed;
    int32_t known[kKnown];
    size_t known_count;
} policy;

/* All requests are equal, so the longest sequence gives the best drafts. */
static void learn(policy* self, const molink_view* view) {
    size_t i;
    for (i = 0; i < molink_view_decodable_count(view); ++i) {
        size_t count = 0;
        const int32_t* tokens = molink_sequence_tokens(molink_view_decodable(view, i), &count);
        if (count <= self->known_count || count > kKnown) continue;
        memcpy(self->known, tokens, count * sizeof(*tokens));
        self->known_count = count;
    }
}

/* Adds drafts within the blocks that the sequence holds. Returns the number of rows of the run. */
static int32_t decode_with_drafts(policy* self, const molink_view* view,
                                  const molink_sequence* sequence, int32_t rows,
                                  molink_plan* plan) {
    const int32_t scheduled = molink_sequence_scheduled(sequence);
    const int32_t room =
        (molink_sequence_blocks_held(sequence) + molink_sequence_blocks_needed(sequence)) *
            molink_view_block_tokens(view) -
        scheduled - 1;
    int32_t most = molink_sequence_max_tokens(sequence) - 2 - scheduled;
    int32_t drafts[kMostDrafts];
    int32_t i;
    if (most > room) most = room;
    if (most > rows - 1) most = rows - 1;
    if (most > kMostDrafts) most = kMostDrafts;
    if (most > molink_view_max_drafts(view)) most = molink_view_max_drafts(view);
    if (most < 0) most = 0;
    for (i = 0; i < most; ++i) {
        const size_t position = (size_t)(scheduled + 1 + i);
        drafts[i] = position < self->known_count ? self->known[position] : 1;
    }
    CHECK(molink_view_vocabulary(view) > 1);
    self->drafted += most;
    molink_plan_decode_drafts(plan, molink_sequence_id(sequence), drafts, (size_t)most);
    return 1 + most;
}

/* Plans everything that can decode, then one slice of a begun prompt or else of a waiting one. */
static void plan_step(void* user_data, const molink_view* view, molink_plan* plan) {
    policy* self = user_data;
    int32_t rows = molink_view_max_step_tokens(view);
    int64_t blocks = molink_view_free_blocks(view);
    const molink_sequence* next = molink_view_prefilling(view, 0);
    size_t i;
    CHECK(self->destroyed == 0);
    ++self->plans;
    learn(self, view);
    if (self->wrong) molink_plan_decode(plan, 0xFFFFFFFFFFu);
    for (i = 0; i < molink_view_decodable_count(view) && rows > 0; ++i) {
        const molink_sequence* sequence = molink_view_decodable(view, i);
        if (molink_sequence_blocks_needed(sequence) > blocks) break;
        blocks -= molink_sequence_blocks_needed(sequence);
        if (self->drafts) {
            rows -= decode_with_drafts(self, view, sequence, rows, plan);
        } else {
            molink_plan_decode(plan, molink_sequence_id(sequence));
            --rows;
        }
    }
    if (molink_view_prefill_parts_in_flight(view) > 0 || rows == 0) return;
    if (next == NULL && molink_view_running(view) < molink_view_max_running(view)) {
        next = molink_view_waiting(view, 0);
        if (molink_sequence_blocks_needed(next) > blocks) next = NULL;
    }
    if (next != NULL) {
        int32_t count = molink_sequence_prompt_tokens(next) - molink_sequence_scheduled(next);
        if (count > rows) count = rows;
        if (count > molink_view_max_slice_tokens(view)) count = molink_view_max_slice_tokens(view);
        molink_plan_prefill(plan, molink_sequence_id(next), count);
    }
}

static void observe_part(void* user_data, const molink_report* report) {
    policy* self = user_data;
    CHECK(molink_report_retired_us(report) >= molink_report_launched_us(report));
    CHECK(molink_report_stage_count(report) == 3);
    CHECK(molink_report_compute_us(report, 0) >= 0 && molink_report_wait_us(report, 2) >= 0);
    self->rows_observed += molink_report_rows(report);
    ++self->parts_observed;
}

static void destroy_policy(void* user_data) {
    ++((policy*)user_data)->destroyed;
}

static void serve(const char* model, policy* self, const char* expected) {
    molink_scheduler_vtable table = MOLINK_SCHEDULER_VTABLE_INIT;
    molink_engine_options options = small_options(model);
    molink_request request = MOLINK_REQUEST_INIT;
    molink_metrics_info info = MOLINK_METRICS_INFO_INIT;
    molink_metrics* metrics = NULL;
    static collector events[kRequests];
    molink_engine* engine;
    int i;
    table.name = "from-c";
    table.plan = plan_step;
    table.observe = observe_part;
    table.destroy = destroy_policy;
    options.scheduler = &table;
    options.scheduler_user_data = self;
    options.local_workers = 2;
    options.max_running = 4;
    engine = ready_engine_with(&options);
    memset(&table, 0, sizeof(table)); /* the engine has copied it */
    request.prompt = "In the beginning";
    request.max_tokens = kTokens;
    for (i = 0; i < kRequests; ++i) {
        collector_init(&events[i]);
        CHECK_OK(molink_engine_submit(engine, &request, collector_event, &events[i],
                                      collector_finalize, NULL));
    }
    for (i = 0; i < kRequests; ++i) {
        collector_wait(&events[i]);
        CHECK(events[i].finish_reason == MOLINK_FINISH_LENGTH);
        CHECK(strcmp(events[i].text, expected) == 0);
    }
    CHECK_OK(molink_engine_metrics(engine, &metrics));
    CHECK_OK(molink_metrics_get(metrics, &info));
    CHECK(self->wrong ? info.plans_refused > 0 : info.plans_refused == 0);
    molink_metrics_release(metrics);
    CHECK(self->plans > 0 && self->destroyed == 0);
    CHECK_OK(molink_engine_destroy(engine));
    CHECK(self->destroyed == 1);
    /* Every token of a request but the first takes a decode row. */
    CHECK(self->parts_observed > 0 && self->rows_observed >= kRequests * (kTokens - 1));
    CHECK(self->drafts ? self->drafted > 0 : self->drafted == 0);
}

/* Accessors accept NULL and return nothing. */
static void nothing(void) {
    size_t count = 1;
    CHECK(molink_view_waiting_count(NULL) == 0 && molink_view_waiting(NULL, 0) == NULL);
    CHECK(molink_view_free_blocks(NULL) == 0 && molink_view_stage_link_delay_us(NULL, 3) == 0);
    CHECK(molink_view_stage_compute_share(NULL, 0) == 0);
    CHECK(molink_view_stage_compute_domain(NULL, 0) == 0);
    CHECK(molink_view_stage_decode_least_us(NULL, 0) == 0);
    CHECK(molink_view_stage_prefill_least_us(NULL, 0) == 0);
    CHECK(molink_sequence_id(NULL) == 0 && molink_sequence_prompt_tokens(NULL) == 0);
    CHECK(molink_sequence_tokens(NULL, &count) == NULL && count == 0);
    CHECK(molink_sequence_request(NULL) == 0 && molink_sequence_completion(NULL) == 0);
    CHECK(molink_view_max_drafts(NULL) == 0 && molink_view_vocabulary(NULL) == 0);
    CHECK(molink_report_rows(NULL) == 0 && molink_report_compute_us(NULL, 0) == 0);
    molink_plan_decode(NULL, 1);
    molink_plan_decode_drafts(NULL, 1, NULL, 0);
    molink_plan_prefill(NULL, 1, 1);
    molink_plan_preempt(NULL, 1);
}

int main(int argc, char** argv) {
    static policy right, wrong, drafting;
    char expected[1024];
    molink_engine* engine;
    if (argc < 2) return 2;
    engine = ready_engine(argv[1]);
    generate(engine, "In the beginning", kTokens, expected, sizeof(expected));
    CHECK_OK(molink_engine_destroy(engine));
    nothing();
    serve(argv[1], &right, expected);
    wrong.wrong = 1;
    serve(argv[1], &wrong, expected);
    drafting.drafts = 1;
    serve(argv[1], &drafting, expected);
    return 0;
}
