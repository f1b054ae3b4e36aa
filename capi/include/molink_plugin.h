/*
 * User-defined schedulers for MoLink's C interface. The conventions of molink.h apply. In addition:
 *
 *  1. A plug-in is a table of functions with its size and the version of this header. The comment
 *     of an entry says whether it may be NULL. The engine copies the table when it is created.
 *  2. The first argument of every function is the user_data of the engine's options. The engine
 *     calls plan and observe on one thread of its own, never concurrently. It calls destroy exactly
 *     once, at the end, on the thread that destroys the engine. If molink_engine_create() fails, no
 *     function of the plug-in is called afterwards, not even destroy.
 *  3. Views, sequences and reports refer to the engine's own state and are valid only during the
 *     call. Accessors accept NULL and then return 0.
 *  4. A plug-in is a pure policy. Equal calls give equal plans, and molink_view_step_seed() is the
 *     only source of randomness. A plug-in reads no clock and calls no function of molink.h.
 *  5. The engine checks every plan. It logs and counts a wrong one, and the built-in policy plans
 *     that step.
 *  6. While plan or observe runs, the engine does nothing else, and gives no sign of life to its
 *     workers. A call that does not return cannot be ended: it blocks the engine, and closing it
 *     too. A call of more than a second is logged with the plug-in's name, while it lasts and when
 *     it has returned.
 */
#ifndef MOLINK_PLUGIN_H
#define MOLINK_PLUGIN_H

#include <molink.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this header. A table with a larger version is refused. */
#define MOLINK_PLUGIN_ABI_VERSION 1

typedef struct molink_view molink_view;         /* state of the engine */
typedef struct molink_sequence molink_sequence; /* one sequence of a view */
typedef struct molink_plan molink_plan;         /* one micro-batch that plan fills */
typedef struct molink_report molink_report;     /* times of a finished part */

typedef struct molink_scheduler_vtable {
    size_t struct_size;
    uint32_t abi_version; /* MOLINK_PLUGIN_ABI_VERSION */
    uint32_t reserved;    /* 0 */
    const char* name;     /* short, for logs and metrics; required, copied */
    /** Fills `plan`, which is empty on entry, with one micro-batch. The engine updates the view and
     * calls again until the plan stays empty. If nothing is under way, an empty plan would wait
     * forever; the built-in policy then plans instead. The built-in policy also preempts when no
     * blocks are left. Required. */
    void (*plan)(void* user_data, const molink_view* view, molink_plan* plan);
    /** Receives the times of a finished part. May be NULL. */
    void (*observe)(void* user_data, const molink_report* report);
    /** Frees user_data. May be NULL. */
    void (*destroy)(void* user_data);
} molink_scheduler_vtable;

#define MOLINK_SCHEDULER_VTABLE_INIT \
    { sizeof(molink_scheduler_vtable), MOLINK_PLUGIN_ABI_VERSION, 0, NULL, NULL, NULL, NULL }

/* ---- the view -------------------------------------------------------------------------------- */

MOLINK_CAPI int64_t molink_view_now_us(const molink_view* view);
/** Returns the only randomness that a policy may use. */
MOLINK_CAPI uint64_t molink_view_step_seed(const molink_view* view);

/** Sequences that are not admitted or are preempted, by arrival. A prefill run admits a sequence;
 * its blocks_needed must fit into free_blocks. */
MOLINK_CAPI size_t molink_view_waiting_count(const molink_view* view);
/** Admitted sequences whose prompt is not fully scheduled, by admission. */
MOLINK_CAPI size_t molink_view_prefilling_count(const molink_view* view);
/** Sequences whose next token can start, longest idle first. */
MOLINK_CAPI size_t molink_view_decodable_count(const molink_view* view);
/** Returns one sequence, or NULL if index is not in 0 .. count - 1. Access to the first few costs
 *  nothing, even in a long queue. */
MOLINK_CAPI const molink_sequence* molink_view_waiting(const molink_view* view, size_t index);
MOLINK_CAPI const molink_sequence* molink_view_prefilling(const molink_view* view, size_t index);
MOLINK_CAPI const molink_sequence* molink_view_decodable(const molink_view* view, size_t index);

MOLINK_CAPI int32_t molink_view_running(const molink_view* view); /* admitted, not finished */
MOLINK_CAPI int32_t molink_view_decoding_in_flight(const molink_view* view); /* sequences */
MOLINK_CAPI int32_t molink_view_micro_batches_in_flight(const molink_view* view);
MOLINK_CAPI int32_t molink_view_decode_parts_in_flight(const molink_view* view);
MOLINK_CAPI int32_t molink_view_prefill_parts_in_flight(const molink_view* view);
MOLINK_CAPI int32_t molink_view_prefill_rows_in_flight(const molink_view* view);
MOLINK_CAPI int64_t molink_view_free_blocks(const molink_view* view); /* not held or reserved */
MOLINK_CAPI int32_t molink_view_max_running(const molink_view* view);
MOLINK_CAPI int32_t molink_view_max_step_tokens(const molink_view* view);  /* of a micro-batch */
MOLINK_CAPI int32_t molink_view_max_slice_tokens(const molink_view* view); /* of a prefill run */
MOLINK_CAPI int32_t molink_view_max_drafts(const molink_view* view);       /* of a decode run */
MOLINK_CAPI int32_t molink_view_block_tokens(const molink_view* view); /* positions of a KV block */
MOLINK_CAPI int32_t molink_view_vocabulary(const molink_view* view);   /* every token is below it */

/** Stages in pipeline order. Unknown values and those of other indices are 0. A part of b rows
 *  takes base_us + b * row_us, or least_us if that is more. The times come from the node's profile
 *  at first and later from measurements. */
MOLINK_CAPI size_t molink_view_stage_count(const molink_view* view);
MOLINK_CAPI double molink_view_stage_decode_base_us(const molink_view* view, size_t stage);
MOLINK_CAPI double molink_view_stage_decode_row_us(const molink_view* view, size_t stage);
MOLINK_CAPI double molink_view_stage_prefill_base_us(const molink_view* view, size_t stage);
MOLINK_CAPI double molink_view_stage_prefill_row_us(const molink_view* view, size_t stage);
MOLINK_CAPI double molink_view_stage_decode_least_us(const molink_view* view, size_t stage);
MOLINK_CAPI double molink_view_stage_prefill_least_us(const molink_view* view, size_t stage);
/** Stages of one domain compute on the same cores or the same device. They compute at the same time
 *  while the sum of their shares is at most 1. A share of 0 is unknown. */
MOLINK_CAPI int32_t molink_view_stage_compute_domain(const molink_view* view, size_t stage);
MOLINK_CAPI double molink_view_stage_compute_share(const molink_view* view, size_t stage);
/** Bytes of one row on a link between stages. */
MOLINK_CAPI int64_t molink_view_stage_row_bytes(const molink_view* view, size_t stage);
/** Bytes of a sampled row that the last stage returns to the LM head on the first stage; 0 for
 *  other stages, and if the last stage returns tokens. */
MOLINK_CAPI int64_t molink_view_stage_return_row_bytes(const molink_view* view, size_t stage);
MOLINK_CAPI int32_t molink_view_stage_layer_count(const molink_view* view, size_t stage);
/** The link to the next stage, or from the last stage to the head or to the first stage. Its delay
 *  includes the way through the head where tokens take it. */
MOLINK_CAPI double molink_view_stage_link_bytes_per_s(const molink_view* view, size_t stage);
MOLINK_CAPI int64_t molink_view_stage_link_delay_us(const molink_view* view, size_t stage);

/* ---- a sequence ------------------------------------------------------------------------------ */

MOLINK_CAPI uint64_t molink_sequence_id(const molink_sequence* sequence);
/** The sequences of a request are its completions, numbered from 0. */
MOLINK_CAPI uint64_t molink_sequence_request(const molink_sequence* sequence);
MOLINK_CAPI int32_t molink_sequence_completion(const molink_sequence* sequence);
/** Returns the prompt and the output that the head knows, by position, and sets *out_count to their
 * number. With direct feedback the newest token of a decodable sequence may still be missing. */
MOLINK_CAPI const int32_t* molink_sequence_tokens(const molink_sequence* sequence,
                                                  size_t* out_count);
MOLINK_CAPI int64_t molink_sequence_arrival_us(const molink_sequence* sequence);
/** Tokens to prefill. After a preemption they include the output. */
MOLINK_CAPI int32_t molink_sequence_prompt_tokens(const molink_sequence* sequence);
/** Maximum number of positions of prompt and output. */
MOLINK_CAPI int32_t molink_sequence_max_tokens(const molink_sequence* sequence);
/** Positions that are computed or under way. For a waiting sequence: positions found in the prefix
 *  cache. */
MOLINK_CAPI int32_t molink_sequence_scheduled(const molink_sequence* sequence);
MOLINK_CAPI int32_t molink_sequence_parts_in_flight(const molink_sequence* sequence);
/** KV blocks that its next run takes from free_blocks. */
MOLINK_CAPI int32_t molink_sequence_blocks_needed(const molink_sequence* sequence);
/** Preemption frees at most this number of blocks. */
MOLINK_CAPI int32_t molink_sequence_blocks_held(const molink_sequence* sequence);

/* ---- the plan -------------------------------------------------------------------------------- */

/** Adds the next token of a decodable sequence, at most once per sequence. */
MOLINK_CAPI void molink_plan_decode(molink_plan* plan, uint64_t sequence);
/** Does the same with `count` drafts: proposed tokens for the positions after the sequence's newest
 * token. A draft is kept if it equals the token that the model samples and all drafts before it are
 * kept. Drafts therefore change the speed but not the output. The run covers the positions
 * [scheduled, scheduled + 1 + count). They need KV blocks beyond blocks_held, and the last one must
 * be below max_tokens - 1. `drafts` is copied. */
MOLINK_CAPI void molink_plan_decode_drafts(molink_plan* plan, uint64_t sequence,
                                           const int32_t* drafts, size_t count);
/** Adds the next `count` positions of the prompt of a prefilling or waiting sequence, at most once
 *  per sequence. */
MOLINK_CAPI void molink_plan_prefill(molink_plan* plan, uint64_t sequence, int32_t count);
/** Makes a prefilling or decodable sequence release its blocks; it is computed again later. The
 *  sequence has no part in flight and is nowhere else in the plan. A later view shows the blocks as
 *  free. */
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

/* ---- a plug-in in a file --------------------------------------------------------------------- */

/** A shared object defines and exports this function, so that `molink-simulate --scheduler
 * ./mine.so` can load it; the library does not define it. It fills `table`, which is
 * MOLINK_SCHEDULER_VTABLE_INIT on entry, and `user_data`. It is called once for every scheduler, on
 * several threads at once when studies run on several. Returns 0, or another number, which is
 * shown, when it cannot make a scheduler. The program has the functions of this header; the object
 * need not be linked with the library. */
MOLINK_CAPI int32_t molink_scheduler_open(molink_scheduler_vtable* table, void** user_data);

#ifdef __cplusplus
}
#endif

#endif
