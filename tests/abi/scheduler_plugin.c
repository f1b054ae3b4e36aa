/* Schedulers in shared objects, as users write them in C. PLUGIN selects one. They are not linked
 * with the library, because molink-simulate exports the functions that they call. */
#include <molink_plugin.h>

enum { ALL_AT_ONCE = 1, IDLE = 2, WRONG = 3, NOT_TODAY = 4 };

/* Plans one micro-batch at a time: all decodable sequences, and a slice of one prompt. */
static void plan_all_at_once(const molink_view* view, molink_plan* plan) {
    size_t i = 0;
    if (molink_view_micro_batches_in_flight(view) > 0) return;
    for (; i < molink_view_decodable_count(view); ++i) {
        const molink_sequence* sequence = molink_view_decodable(view, i);
        molink_plan_decode(plan, molink_sequence_id(sequence));
    }
    for (i = 0; i < 2; ++i) {
        const molink_sequence* sequence =
            i == 0 ? molink_view_prefilling(view, 0) : molink_view_waiting(view, 0);
        int32_t count = molink_sequence_prompt_tokens(sequence);
        if (sequence == NULL) continue;
        count -= molink_sequence_scheduled(sequence);
        if (count > molink_view_max_slice_tokens(view)) count = molink_view_max_slice_tokens(view);
        molink_plan_prefill(plan, molink_sequence_id(sequence), count);
        return;
    }
}

static void plan(void* user_data, const molink_view* view, molink_plan* plan) {
    (void)user_data;
    if (PLUGIN == ALL_AT_ONCE) plan_all_at_once(view, plan);
    if (PLUGIN == WRONG) molink_plan_decode(plan, 1u << 30);
}

int32_t molink_scheduler_open(molink_scheduler_vtable* table, void** user_data) {
    static const char* const names[] = {"", "all-at-once", "idle", "wrong"};
    if (PLUGIN == NOT_TODAY) return 7;
    *user_data = NULL;
    table->name = names[PLUGIN == NOT_TODAY ? 0 : PLUGIN];
    table->plan = plan;
    return 0;
}
