/*
 * A scheduler of one's own for MoLink's C interface. The conventions of molink.h hold, and:
 *
 *  1. A plug-in is a table of functions with its size and the version it was written for. An entry
 *     that may be NULL says what that means. The table is copied when the engine is created.
 *  2. Every function gets the user_data of the engine's options first. The engine calls plan and
 *     observe on one thread of its own, never at the same time; destroy comes last, exactly once,
 *     on the thread that destroys the engine. When molink_engine_create() fails nothing of the
 *     plug-in is called any more, destroy included.
 *  3. Views, sequences and reports are windows on the engine's own state, without copies. They are
 *     valid during the call alone. Accessors take NULL and give 0.
 *  4. A plug-in is pure policy: equal calls, equal plans; randomness from
 *     molink_view_step_seed() alone. It reads no clock and calls nothing of molink.h.
 *  5. The engine checks every plan. A wrong one is logged and counted, and the built-in policy
 *     plans that step.
 */
#ifndef MOLINK_PLUGIN_H
#define MOLINK_PLUGIN_H

#include <molink.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this header; a table with a larger one is refused. */
#define MOLINK_PLUGIN_ABI_VERSION 1

typedef struct molink_view molink_view;         /* what the engine knows */
typedef struct molink_sequence molink_sequence; /* one sequence of it */
typedef struct molink_plan molink_plan;         /* one micro-batch, to be filled */
typedef struct molink_report molink_report;     /* what a finished part took */

typedef struct molink_scheduler_vtable {
    size_t struct_size;
    uint32_t abi_version; /* MOLINK_PLUGIN_ABI_VERSION */
    uint32_t reserved;    /* 0 */
    const char* name;     /* short, for logs and metrics; required, copied */
    /** Fills `plan`, which is empty, with one micro-batch. Called again, with the view brought up
     * to date, until it stays empty. An empty plan while nothing is under way would wait for ever,
     * so the built-in policy plans instead; it also preempts when blocks have run out. Required. */
    void (*plan)(void* user_data, const molink_view* view, molink_plan* plan);
    /** Learns from a finished part. May be NULL. */
    void (*observe)(void* user_data, const molink_report* report);
    /** Frees user_data. NULL when there is nothing to free. */
    void (*destroy)(void* user_data);
} molink_scheduler_vtable;

#define MOLINK_SCHEDULER_VTABLE_INIT \
    { sizeof(molink_scheduler_vtable), MOLINK_PLUGIN_ABI_VERSION, 0, NULL, NULL, NULL, NULL }

/* ---- the view -------------------------------------------------------------------------------- */

MOLINK_CAPI int64_t molink_view_now_us(const molink_view* view);
/** The only source of randomness a policy may use. */
MOLINK_CAPI uint64_t molink_view_step_seed(const molink_view* view);

/** Not admitted or preempted, by arrival. A prefill run of one admits it; its blocks_needed must
 * fit into free_blocks. */
MOLINK_CAPI size_t molink_view_waiting_count(const molink_view* view);
/** Admitted, prompt not fully scheduled, by admission. */
MOLINK_CAPI size_t molink_view_prefilling_count(const molink_view* view);
/** Next token known and not under way, longest idle first. */
MOLINK_CAPI size_t molink_view_decodable_count(const molink_view* view);
/** index: 0 .. count - 1; NULL beyond. The first few cost nothing, however long the queue is. */
MOLINK_CAPI const molink_sequence* molink_view_waiting(const molink_view* view, size_t index);
MOLINK_CAPI const molink_sequence* molink_view_prefilling(const molink_view* view, size_t index);
MOLINK_CAPI const molink_sequence* molink_view_decodable(const molink_view* view, size_t index);

MOLINK_CAPI int32_t molink_view_running(const molink_view* view); /* admitted, not finished */
MOLINK_CAPI int32_t molink_view_decoding_in_flight(const molink_view* view); /* sequences */
MOLINK_CAPI int32_t molink_view_micro_batches_in_flight(const molink_view* view);
MOLINK_CAPI int32_t molink_view_decode_parts_in_flight(const molink_view* view);
MOLINK_CAPI int32_t molink_view_prefill_parts_in_flight(const molink_view* view);
MOLINK_CAPI int32_t molink_view_prefill_rows_in_flight(const molink_view* view);
MOLINK_CAPI int64_t molink_view_free_blocks(const molink_view* view); /* not held nor promised */
MOLINK_CAPI int32_t molink_view_max_running(const molink_view* view);
MOLINK_CAPI int32_t molink_view_max_step_tokens(const molink_view* view);  /* of a micro-batch */
MOLINK_CAPI int32_t molink_view_max_slice_tokens(const molink_view* view); /* of a prefill run */
MOLINK_CAPI int32_t molink_view_max_drafts(const molink_view* view);       /* of a decode run */
MOLINK_CAPI int32_t molink_view_block_tokens(const molink_view* view); /* positions of a KV block */
MOLINK_CAPI int32_t molink_view_vocabulary(const molink_view* view);   /* tokens are below it */

/** Stages in pipeline order; 0 while unknown, 0 for an index beyond. A part of b rows takes base_us
 *  + b * row_us; from the node's profile at first, then as measured. */
MOLINK_CAPI size_t molink_view_stage_count(const molink_view* view);
MOLINK_CAPI double molink_view_stage_decode_base_us(const molink_view* view, size_t stage);
MOLINK_CAPI double molink_view_stage_decode_row_us(const molink_view* view, size_t stage);
MOLINK_CAPI double molink_view_stage_prefill_base_us(const molink_view* view, size_t stage);
MOLINK_CAPI double molink_view_stage_prefill_row_us(const molink_view* view, size_t stage);
/** Of one row on a link between stages. */
MOLINK_CAPI int64_t molink_view_stage_row_bytes(const molink_view* view, size_t stage);
/** Of the last stage: a sampled row on its way back to the LM head on the first; 0: tokens go. */
MOLINK_CAPI int64_t molink_view_stage_return_row_bytes(const molink_view* view, size_t stage);
MOLINK_CAPI int32_t molink_view_stage_layer_count(const molink_view* view, size_t stage);
/** The link to the next stage; of the last stage, back to the head or to the first stage. */
MOLINK_CAPI double molink_view_stage_link_bytes_per_s(const molink_view* view, size_t stage);
MOLINK_CAPI int64_t molink_view_stage_link_delay_us(const molink_view* view, size_t stage);

/* ---- a sequence ------------------------------------------------------------------------------ */

MOLINK_CAPI uint64_t molink_sequence_id(const molink_sequence* sequence);
/** Sequences of one request are its completions, numbered from 0. */
MOLINK_CAPI uint64_t molink_sequence_request(const molink_sequence* sequence);
MOLINK_CAPI int32_t molink_sequence_completion(const molink_sequence* sequence);
/** By position: the prompt and the output that the head knows; `out_count` receives how many. With
 * direct feedback the newest token of a decodable sequence may not be among them yet. */
MOLINK_CAPI const int32_t* molink_sequence_tokens(const molink_sequence* sequence,
                                                  size_t* out_count);
MOLINK_CAPI int64_t molink_sequence_arrival_us(const molink_sequence* sequence);
/** Tokens to prefill; after a preemption with those generated. */
MOLINK_CAPI int32_t molink_sequence_prompt_tokens(const molink_sequence* sequence);
/** Positions it may reach: prompt and output. */
MOLINK_CAPI int32_t molink_sequence_max_tokens(const molink_sequence* sequence);
/** Positions computed, under way or, while it waits, found in the prefix cache. */
MOLINK_CAPI int32_t molink_sequence_scheduled(const molink_sequence* sequence);
MOLINK_CAPI int32_t molink_sequence_parts_in_flight(const molink_sequence* sequence);
/** KV blocks that its next run takes out of free_blocks. */
MOLINK_CAPI int32_t molink_sequence_blocks_needed(const molink_sequence* sequence);
/** What preempting it can free at most. */
MOLINK_CAPI int32_t molink_sequence_blocks_held(const molink_sequence* sequence);

/* ---- the plan -------------------------------------------------------------------------------- */

/** The next token of a decodable sequence, each at most once. */
MOLINK_CAPI void molink_plan_decode(molink_plan* plan, uint64_t sequence);
/** The same with `count` drafts: tokens proposed for the positions behind the sequence's newest
 * token. Those that are what the model samples itself are kept, up to the first that is not; so
 * drafts change the speed of the output, never the output. The run covers positions [scheduled,
 * scheduled + 1 + count): they need KV blocks beyond blocks_held, and the last one is below
 * max_tokens - 1. `drafts` is copied. */
MOLINK_CAPI void molink_plan_decode_drafts(molink_plan* plan, uint64_t sequence,
                                           const int32_t* drafts, size_t count);
/** `count` positions of the prompt of a prefilling or waiting sequence, each at most once. */
MOLINK_CAPI void molink_plan_prefill(molink_plan* plan, uint64_t sequence, int32_t count);
/** A prefilling or decodable sequence gives up its blocks and is computed anew later; with no part
 *  in flight and not otherwise in the plan. A later view shows the blocks as free. */
MOLINK_CAPI void molink_plan_preempt(molink_plan* plan, uint64_t sequence);

/* ---- a report -------------------------------------------------------------------------------- */

enum { MOLINK_PART_DECODE = 0, MOLINK_PART_PREFILL = 1 };

MOLINK_CAPI int32_t molink_report_kind(const molink_report* report); /* MOLINK_PART_... */
MOLINK_CAPI int32_t molink_report_rows(const molink_report* report);
MOLINK_CAPI int64_t molink_report_launched_us(const molink_report* report);
MOLINK_CAPI int64_t molink_report_retired_us(const molink_report* report);
MOLINK_CAPI size_t molink_report_stage_count(const molink_report* report);
MOLINK_CAPI int64_t molink_report_compute_us(const molink_report* report, size_t stage);
MOLINK_CAPI int64_t molink_report_wait_us(const molink_report* report, size_t stage);

#ifdef __cplusplus
}
#endif

#endif
