/*
 * C interface of MoLink, which runs one large language model on several ordinary machines.
 *
 * Conventions
 *  1. Handles are opaque. `_create` makes one; `_destroy` or `_release` frees it and accepts NULL.
 *  2. A function that can fail returns molink_error*. NULL means success. The caller owns any other
 *     value and frees it with molink_error_release(). A failed call leaves its outputs unchanged
 *     and takes ownership of nothing: its callbacks and finalizers are never called, unless the
 *     function's comment says otherwise.
 *  3. Structs that the caller fills begin with struct_size. Start from the MOLINK_..._INIT macro or
 *     the _init function, then set the fields that you need. New versions only append fields. A
 *     smaller struct is completed with defaults. A larger one is refused if a field that this
 *     library does not know is not zero.
 *  4. Structs that the library fills also begin with struct_size, which the caller sets in the same
 *     way. The library writes at most that number of bytes. In structs that callbacks receive, the
 *     library sets struct_size; read a field only if it lies within that size.
 *  5. Enumerations and truth values are int32_t. Values never change and are never reused.
 *  6. Strings are UTF-8 and end with a NUL. The library copies strings and arrays that it receives
 *     during the call. Those that it returns live as long as the handle or event they come from.
 *  7. The first argument of a callback is its user_data. Its finalizer, which may be NULL, is
 *     called with the user_data exactly once, after the last call of the callback.
 *  8. All functions may be called from any thread and concurrently. Free a handle only after every
 *     other call on it has returned.
 *  9. An engine calls event callbacks on one thread of its own with no lock held. They may submit
 *     and cancel requests. Log callbacks and scheduler plug-ins run on other threads of the library
 *     and must not call functions of the handle that they serve. No callback may throw. Closing or
 *     destroying an engine or a worker in one of its own callbacks is an error and has no effect.
 * 10. Every accepted request gets exactly one event with `last` set. It is the request's last
 *     event. Closing or destroying the engine ends outstanding requests with MOLINK_CANCELLED.
 * 11. Times are in microseconds. A time-out of 0 does not wait. MOLINK_WAIT_FOREVER waits without
 *     limit. Any other negative time-out is refused with MOLINK_INVALID_ARGUMENT.
 * 12. There is no global state; any number of engines and workers may live in one process.
 * 13. After fork() only the parent can use the engines, workers and queues that it made. In the
 *     child their functions return MOLINK_FAILED_PRECONDITION, and destroying them has no effect:
 *     their memory stays, and no finalizer is called. A child that is forked inside a callback must
 *     call exec() or _exit() before it returns from it.
 * Until the first stable release, every function may still change.
 */
#ifndef MOLINK_H
#define MOLINK_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MOLINK_CAPI __attribute__((visibility("default")))
#define MOLINK_MUST_USE __attribute__((warn_unused_result))
#else
#define MOLINK_CAPI
#define MOLINK_MUST_USE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- version and errors ---------------------------------------------------------------------- */

/** Increases when a function or a field is added. capi/CHANGELOG.md lists the changes. */
#define MOLINK_ABI_VERSION 1
#define MOLINK_WAIT_FOREVER (-1) /* a time-out without limit */

/** Returns the version of the loaded library, for example "0.1.0". Static storage. */
MOLINK_CAPI const char* molink_version(void);
/** Returns the MOLINK_ABI_VERSION of the loaded library. */
MOLINK_CAPI uint32_t molink_abi_version(void);

enum {
    MOLINK_OK = 0,
    MOLINK_INVALID_ARGUMENT = 1,    /* can never work */
    MOLINK_NOT_FOUND = 2,           /* file, tensor, node or request that does not exist */
    MOLINK_FAILED_PRECONDITION = 3, /* wrong state for the call */
    MOLINK_RESOURCE_EXHAUSTED = 4,  /* memory, KV blocks or a queue limit */
    MOLINK_UNAVAILABLE = 5,         /* a node or address cannot be reached */
    MOLINK_DEADLINE_EXCEEDED = 6,   /* the time-out of a wait passed */
    MOLINK_CANCELLED = 7,           /* ended by the caller or by a shutdown */
    MOLINK_DATA_LOSS = 8,           /* bytes that fail verification */
    MOLINK_UNIMPLEMENTED = 9,       /* valid but not supported */
    MOLINK_INTERNAL = 10            /* a defect of the library */
};

typedef struct molink_error molink_error;

/** Returns the code of an error, or MOLINK_OK for NULL. */
MOLINK_CAPI int32_t molink_error_code(const molink_error* error);
/** Says what was attempted, on what, with which numbers; "" for NULL. Lives as long as the error.
 *  */
MOLINK_CAPI const char* molink_error_message(const molink_error* error);
MOLINK_CAPI void molink_error_release(molink_error* error);
/** Returns the name of a code, such as "invalid_argument", or "unknown". Static storage. */
MOLINK_CAPI const char* molink_status_name(int32_t code);

/* ---- callbacks ------------------------------------------------------------------------------- */

typedef void (*molink_finalizer)(void* user_data);

enum { MOLINK_LOG_ERROR = 0, MOLINK_LOG_WARNING = 1, MOLINK_LOG_INFO = 2, MOLINK_LOG_DEBUG = 3 };

/** Receives a line of `size` bytes without a newline, valid during the call. Thread: any. */
typedef void (*molink_log_fn)(void* user_data, int32_t level, const char* message, size_t size);

enum {
    MOLINK_ENGINE_WAITING = 0, /* waits for nodes */
    MOLINK_ENGINE_LOADING = 1, /* nodes read their layers */
    MOLINK_ENGINE_READY = 2,   /* accepts requests */
    MOLINK_ENGINE_CLOSED = 3
};

/** Progress of loading, summed over the nodes. */
typedef struct molink_progress {
    size_t struct_size;
    int32_t state;      /* MOLINK_ENGINE_... */
    int32_t node_count; /* nodes that have joined, including the head's own stage */
    int64_t loaded_bytes;
    int64_t weight_bytes; /* 0 until the layers are split */
} molink_progress;

/** molink_engine_wait_ready() calls this on its caller's thread when the progress changes. */
typedef void (*molink_progress_fn)(void* user_data, const molink_progress* progress);

typedef struct molink_metrics molink_metrics; /* a consistent copy; see molink_metrics.h */

/* ---- engine ---------------------------------------------------------------------------------- */

enum { MOLINK_F32 = 0, MOLINK_F16 = 1, MOLINK_BF16 = 2, MOLINK_INT8 = 3 };
enum { MOLINK_WEIGHTS_NATIVE = 0, MOLINK_WEIGHTS_Q8_0 = 1 };
enum { MOLINK_THROUGHPUT = 0, MOLINK_LATENCY = 1 };
enum { MOLINK_LM_HEAD_AUTO = 0, MOLINK_LM_HEAD_LAST = 1, MOLINK_LM_HEAD_FIRST = 2 };

struct molink_scheduler_vtable; /* molink_plugin.h */

/** The head of a cluster. Start from MOLINK_ENGINE_OPTIONS_INIT or molink_engine_options_init(). */
typedef struct molink_engine_options {
    size_t struct_size;
    const char* model_dir;       /* Hugging Face folder; required */
    const char* name;            /* name in logs and tables; NULL: "head" */
    const char* listen;          /* NULL: "tcp://127.0.0.1:*", a free port */
    const char* advertise;       /* other nodes connect to it; NULL: listen */
    const char* backend;         /* devices: "cpu", "a:0,a:1", "a:all"; NULL: "cpu" */
    int64_t memory_bytes;        /* weights, workspace and KV; 0: 0.8 of available memory */
    int64_t node_lost_after_us;  /* silence after which a node is lost; default 15 s */
    int64_t reconnect_within_us; /* a cut connection must be back within it; default 3 s */
    int64_t max_in_flight_bytes; /* queued towards the first stage; default 32 MiB */
    int32_t insecure;            /* permits addresses that are not loopback without keys */
    int32_t weights;             /* MOLINK_WEIGHTS_... */
    int32_t kv_type;             /* MOLINK_F32 (default) or MOLINK_F16; equal on all nodes */
    int32_t block_tokens; /* positions of a KV block: 16 .. 256, multiple of 16; default 16 */
    int32_t threads;      /* 0 .. 256; 0: one per core */
    int32_t layers_begin; /* the head's own layers [begin, end); 0, 0: automatic */
    int32_t layers_end;
    int32_t log_level;       /* MOLINK_LOG_...; default info */
    int32_t stages;          /* nodes of the pipeline, 0 .. 256; 0: 1, or the whole local cluster */
    int32_t local_stage;     /* the head also holds a stage; default 1 */
    int32_t wire_type;       /* on links: MOLINK_F32 (default, exact), F16, BF16 or INT8 */
    int32_t max_running;     /* running sequences, 1 .. 1024; default 16 */
    int32_t max_waiting;     /* waiting requests, 0 .. 65536; default 1024 */
    int32_t max_step_tokens; /* rows of a micro-batch, 1 .. 8192; default 512 */
    int32_t max_slice_tokens; /* rows of a slice of a prompt, 1 .. max_step_tokens; default 256 */
    int32_t max_context;      /* positions per sequence; 0: the model's */
    int32_t prefix_cache;     /* default 1 */
    /* Workers inside this process, 0 .. 64. Above 0 the engine is a complete cluster over links
     * inside the process. Then listen, advertise and remote workers are refused, and threads and
     * memory_bytes apply to each node. */
    int32_t local_workers;
    molink_log_fn log; /* NULL: none */
    void* log_user_data;
    molink_finalizer log_finalizer;
    molink_progress_fn progress; /* NULL: none */
    void* progress_user_data;
    molink_finalizer progress_finalizer;
    const struct molink_scheduler_vtable* scheduler; /* copied; NULL: scheduler_name applies */
    void* scheduler_user_data;
    const char* scheduler_name; /* "adaptive" (NULL), "depth", "single", "molink-paper" */
    const char* transmit;       /* what a link sends first: "fair" (NULL), "strict", "fifo" */
    const char* partitioner;    /* "cost" (NULL), "even" */
    int64_t latency_goal_us;    /* adaptive: time between two tokens; 0: none */
    double throughput_goal;     /* adaptive: sufficient output tokens/s; 0: none */
    int32_t step_tokens; /* the other schedulers: rows of a micro-batch; 0: max_step_tokens */
    int32_t objective;   /* MOLINK_THROUGHPUT (default) or _LATENCY, for the partitioner */
    int32_t lm_head;     /* MOLINK_LM_HEAD_AUTO (default), _LAST, or _FIRST with tied embeddings */
    int32_t link_probes; /* nodes measure the links between them before the first plan; default 1 */
    /* Tokens that the split is optimised for, 1 .. 1000000; default 512 and 128. */
    int32_t expected_prompt_tokens;
    int32_t expected_output_tokens;
    /* Keys (molink_keys.h): both or neither. With them links are encrypted, and only nodes whose
     * keys or tokens are in the access file join. The file is read again when it changes. */
    const char* key_file;
    const char* allow_file;
} molink_engine_options;

#define MOLINK_ENGINE_OPTIONS_INIT                                                                \
    {                                                                                             \
        sizeof(molink_engine_options), NULL, NULL, NULL, NULL, NULL, 0, 15000000, 3000000,        \
            33554432, 0, MOLINK_WEIGHTS_NATIVE, MOLINK_F32, 16, 0, 0, 0, MOLINK_LOG_INFO, 0, 1,   \
            MOLINK_F32, 16, 1024, 512, 256, 0, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL,    \
            NULL, NULL, NULL, NULL, 0, 0, 0, MOLINK_THROUGHPUT, MOLINK_LM_HEAD_AUTO, 1, 512, 128, \
            NULL, NULL                                                                            \
    }

/** Fills in the defaults, for languages without C's macros. struct_size is the size of the caller's
 *  struct. Errors: INVALID_ARGUMENT. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_options_init(molink_engine_options* options,
                                                                     size_t struct_size);

typedef struct molink_engine molink_engine;

/** Checks the options, reads the model's description, listens and starts the threads. Nodes can
 *  join and load after that. Local workers first measure the machine for about a second each.
 *  Errors: INVALID_ARGUMENT, NOT_FOUND (model), DATA_LOSS (model files), UNAVAILABLE (address in
 *  use), RESOURCE_EXHAUSTED. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_create(const molink_engine_options* options,
                                                               molink_engine** out_engine);
/** Waits until the engine is ready and reports progress. Errors: DEADLINE_EXCEEDED (with what is
 *  missing), CANCELLED (the engine was closed), or the error that prevents a pipeline. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_wait_ready(molink_engine* engine,
                                                                   int64_t timeout_us);
/** Refuses new requests, delivers the last events (MOLINK_CANCELLED) of all others, tells the
 *  workers and ends the threads. A second call does nothing.
 *  Errors: FAILED_PRECONDITION inside a callback of this engine. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_close(molink_engine* engine);
/** Closes the engine, calls the finalizers of the options and frees the handle. Errors:
 *  FAILED_PRECONDITION inside a callback of this engine; the engine then stays valid. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_destroy(molink_engine* engine);
/** Returns the address that workers join; "" for NULL. */
MOLINK_CAPI const char* molink_engine_address(const molink_engine* engine);

typedef struct molink_model_info {
    size_t struct_size;
    const char* architecture; /* as in config.json */
    int32_t hidden;
    int32_t layers;
    int32_t vocabulary;
    int32_t context;   /* maximum number of positions */
    int32_t bos_token; /* -1: none */
    int32_t eos_token; /* the first of them; -1: none */
} molink_model_info;
#define MOLINK_MODEL_INFO_INIT \
    { sizeof(molink_model_info), NULL, 0, 0, 0, 0, 0, 0 }

MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_model(const molink_engine* engine,
                                                              molink_model_info* out_info);

/** Splits `size` bytes of text into tokens, with the special tokens of a prompt if add_special is
 *  set. Writes the first `capacity` of them; *out_count is their total number. tokens may be NULL
 *  if capacity is 0. Errors: INVALID_ARGUMENT (not UTF-8), FAILED_PRECONDITION (no tokenizer). */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_tokenize(const molink_engine* engine,
                                                                 const char* text, size_t size,
                                                                 int32_t add_special,
                                                                 int32_t* tokens, size_t capacity,
                                                                 size_t* out_count);
/** Converts tokens, including special ones, to bytes. A token may hold a part of a character.
 *  Writes the first `capacity` bytes without a NUL and sets *out_size to the total number of bytes.
 *  Tokens outside the vocabulary have no bytes. Errors: those of molink_engine_tokenize(). */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_detokenize(const molink_engine* engine,
                                                                   const int32_t* tokens,
                                                                   size_t count, char* text,
                                                                   size_t capacity,
                                                                   size_t* out_size);

/* ---- requests -------------------------------------------------------------------------------- */

/** One generation. Start from MOLINK_REQUEST_INIT or molink_request_init(). */
typedef struct molink_request {
    size_t struct_size;
    const char* prompt;           /* or prompt_tokens */
    size_t prompt_size;           /* bytes; 0: up to the NUL */
    const int32_t* prompt_tokens; /* used unchanged if there are any */
    size_t prompt_token_count;
    int32_t max_tokens;         /* default 128; 0: up to the context */
    int32_t min_tokens;         /* minimum number of tokens; default 0 */
    int32_t n;                  /* completions, 1 .. 64; default 1 */
    int32_t ignore_eos;         /* continue after an end-of-sequence token */
    const int32_t* stop_tokens; /* end the output and are not part of it; at most 64 */
    size_t stop_token_count;
    const char* const* stop; /* texts that end the output and are not part of it; at most 16 */
    size_t stop_count;
    const int32_t* bias_tokens; /* [bias_count] tokens whose logits are changed */
    const float* bias_values;   /* [bias_count] added values, -100 .. 100; -100 forbids the token */
    size_t bias_count;          /* at most 1024 */
    int32_t logprobs;           /* -1: none (default); 0 .. 20: number of likeliest tokens */
    int32_t hash_logits;        /* for tests of exactness */
    float repetition_penalty;   /* above 0, at most 100; 1: off (default) */
    float presence_penalty;     /* -100 .. 100; 0: off (default) */
    float frequency_penalty;    /* -100 .. 100; 0: off (default) */
    float temperature;          /* 0 .. 100; 0: greedy (default) */
    int32_t top_k;              /* 0: all (default) */
    float top_p;                /* above 0, at most 1; 1: all (default) */
    float min_p;                /* 0 .. 1; 0: all (default) */
    int32_t has_seed;           /* 0: a random seed */
    uint64_t seed;
} molink_request;

#define MOLINK_REQUEST_INIT                                                                      \
    {                                                                                            \
        sizeof(molink_request), NULL, 0, NULL, 0, 128, 0, 1, 0, NULL, 0, NULL, 0, NULL, NULL, 0, \
            -1, 0, 1.0f, 0.0f, 0.0f, 0.0f, 0, 1.0f, 0.0f, 0, 0                                   \
    }

MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_request_init(molink_request* request,
                                                              size_t struct_size);

enum {
    MOLINK_FINISH_NONE = 0,
    MOLINK_FINISH_STOP = 1,      /* an end-of-sequence token, a stop token or a stop text */
    MOLINK_FINISH_LENGTH = 2,    /* max_tokens or the context */
    MOLINK_FINISH_CANCELLED = 3, /* by the caller, or the engine was closed */
    MOLINK_FINISH_ERROR = 4      /* status says why */
};
/** Returns the name of a reason, such as "stop", or "unknown". Static storage. */
MOLINK_CAPI const char* molink_finish_reason_name(int32_t reason);

/** A piece of a completion. Valid during the callback, or until molink_event_release(). */
typedef struct molink_event {
    size_t struct_size;
    uint64_t request;
    void* user_data;
    int32_t index;         /* index of the completion, 0 .. n - 1 */
    int32_t finish_reason; /* MOLINK_FINISH_...; not NONE in exactly one event of a completion */
    int32_t last;          /* 1 in exactly one event of a request, the last one */
    int32_t status;        /* MOLINK_OK unless finish_reason is CANCELLED or ERROR */
    const char* message;   /* explains status; "" when OK */
    const char* text;      /* complete code points, without a possible beginning of a stop text */
    size_t text_size;
    const int32_t* tokens; /* [token_count] new tokens */
    size_t token_count;
    const float* logprobs;     /* [token_count]; NULL if not requested */
    const size_t* top_offsets; /* [token_count + 1] begin of each token's entries in the next two */
    const int32_t* top_tokens; /* [top_offsets[token_count]] likeliest first */
    const float* top_logprobs; /* same length as top_tokens */
    /* Set when finish_reason is not NONE: */
    int32_t prompt_token_count;
    int32_t cached_token_count; /* prompt tokens found in the prefix cache */
    int32_t output_token_count;
    int32_t reserved; /* 0 */
    int64_t time_to_first_token_us;
    int64_t total_us;
    const uint64_t* logit_hashes; /* [logit_hash_count] if hash_logits was set */
    size_t logit_hash_count;
} molink_event;

typedef void (*molink_event_fn)(void* user_data, const molink_event* event);

/** Queues a request whose events go to `callback`. The first event may arrive before the call
 *  returns. out_request may be NULL. Errors: INVALID_ARGUMENT (names the value and its limits, also
 *  when the request needs more KV blocks than there are), RESOURCE_EXHAUSTED (the queue is full),
 *  UNAVAILABLE (not ready, or a node was lost), FAILED_PRECONDITION (the engine is closed). */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_submit(
    molink_engine* engine, const molink_request* request, molink_event_fn callback, void* user_data,
    molink_finalizer finalizer, uint64_t* out_request);
/** Ends a request early with MOLINK_FINISH_CANCELLED. Ignores unknown and finished ids. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_cancel(molink_engine* engine,
                                                               uint64_t request);

/* ---- event queue: the twin of the callback, for languages where foreign callbacks hurt ------- */

typedef struct molink_queue molink_queue;

/** Makes a queue for the events of any number of requests of any engines. It holds the events that
 *  were produced and not yet fetched: at most a few per token. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_queue_create(molink_queue** out_queue);
/** Queues a request like molink_engine_submit(). Its events go to `queue` and carry `user_data`. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_submit_to_queue(
    molink_engine* engine, const molink_request* request, molink_queue* queue, void* user_data,
    uint64_t* out_request);
/** Waits up to timeout_us and returns the next event, or NULL if there is none. The caller releases
 *  it. Several threads may wait on one queue; each event goes to one of them. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_queue_next(molink_queue* queue, int64_t timeout_us,
                                                            const molink_event** out_event);
/** Frees an event that molink_queue_next() returned. */
MOLINK_CAPI void molink_event_release(const molink_event* event);
/** Frees the queue and its events, and drops later events of its requests. */
MOLINK_CAPI void molink_queue_destroy(molink_queue* queue);

/* ---- cluster --------------------------------------------------------------------------------- */

enum {
    MOLINK_NODE_JOINED = 0,
    MOLINK_NODE_LOADING = 1,
    MOLINK_NODE_READY = 2,
    MOLINK_NODE_STALLED = 3, /* silent or cut off; the head still waits for it */
    MOLINK_NODE_LOST = 4
};

typedef struct molink_cluster molink_cluster; /* a copy of what the head knows about its cluster */

typedef struct molink_cluster_info {
    size_t struct_size;
    int32_t state;          /* MOLINK_ENGINE_... */
    uint32_t epoch;         /* generation of the pipeline */
    const char* missing;    /* readable text of what the engine waits for; "" when ready */
    const char* last_error; /* why the last pipeline ended; may be "" */
    size_t node_count;
    size_t stage_count; /* 0 while there is no pipeline */
} molink_cluster_info;
#define MOLINK_CLUSTER_INFO_INIT \
    { sizeof(molink_cluster_info), 0, 0, NULL, NULL, 0, 0 }

typedef struct molink_node_info {
    size_t struct_size;
    const char* name;
    const char* address; /* other nodes connect to it; "" for the head's own stage */
    const char* host_id; /* equal for all nodes on one machine */
    uint32_t id;
    int32_t state;        /* MOLINK_NODE_... */
    int32_t layers_begin; /* [begin, end); equal while the node has none */
    int32_t layers_end;
    int64_t memory_bytes;
    int64_t weight_bytes;
    int64_t loaded_bytes; /* part of weight_bytes that is loaded */
    int64_t kv_blocks;
    double decode_layer_us; /* measured time of one layer for one row */
    const char* left_out;   /* why the split does not use the node; "" if it does */
    const char* device;     /* such as "cpu:0"; a process has a node for each of its devices */
} molink_node_info;
#define MOLINK_NODE_INFO_INIT \
    { sizeof(molink_node_info), NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL }

MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_engine_cluster(const molink_engine* engine,
                                                                molink_cluster** out_cluster);
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_cluster_get(const molink_cluster* cluster,
                                                             molink_cluster_info* out_info);
/** index: 0 .. node_count - 1. The head's own stage is first; nodes follow by arrival. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_cluster_node(const molink_cluster* cluster,
                                                              size_t index,
                                                              molink_node_info* out_info);
/** Returns the node id of a stage. index: 0 .. stage_count - 1, in pipeline order. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_cluster_stage(const molink_cluster* cluster,
                                                               size_t index, uint32_t* out_node);
MOLINK_CAPI void molink_cluster_release(molink_cluster* cluster);

/* ---- worker ---------------------------------------------------------------------------------- */

/** A node that joins a head. Fields without a comment are as in molink_engine_options. */
typedef struct molink_worker_options {
    size_t struct_size;
    const char* model_dir; /* required */
    const char* join;      /* address of the head; required without a token */
    const char* name;      /* NULL: "worker-" and a random number */
    const char* listen;
    const char* advertise;
    const char* backend;
    int64_t memory_bytes;
    int64_t node_lost_after_us;
    int64_t reconnect_within_us;
    int64_t join_within_us; /* until the first head welcomes it; -1, the default: no limit */
    int32_t insecure;
    int32_t weights;
    int32_t kv_type;
    int32_t block_tokens;
    int32_t threads;
    int32_t layers_begin;
    int32_t layers_end;
    int32_t log_level;
    molink_log_fn log;
    void* log_user_data;
    molink_finalizer log_finalizer;
    const char* transmit;
    const char* key_file;     /* NULL: no keys, or with a token a file in the user's state folder */
    const char* head_key;     /* public key of the head; with key_file, unless there is a token */
    const char* token;        /* join token: address and key of the head, and permission to join */
    int64_t give_up_after_us; /* without a head that was there; -1, the default: no limit */
} molink_worker_options;

#define MOLINK_WORKER_OPTIONS_INIT                                                               \
    {                                                                                            \
        sizeof(molink_worker_options), NULL, NULL, NULL, NULL, NULL, NULL, 0, 15000000, 3000000, \
            -1, 0, MOLINK_WEIGHTS_NATIVE, MOLINK_F32, 16, 0, 0, 0, MOLINK_LOG_INFO, NULL, NULL,  \
            NULL, NULL, NULL, NULL, NULL, -1                                                     \
    }

MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_worker_options_init(molink_worker_options* options,
                                                                     size_t struct_size);

typedef struct molink_worker molink_worker;

typedef struct molink_worker_info {
    size_t struct_size;
    const char* address;  /* other nodes connect to it; lives as long as the worker */
    int32_t state;        /* MOLINK_NODE_... */
    int32_t welcomed;     /* the head accepted it */
    int32_t layers_begin; /* of the first of its devices that has a stage */
    int32_t layers_end;
    int64_t weight_bytes; /* of all its devices */
    int64_t loaded_bytes; /* of all its devices */
    int64_t kv_blocks;
    uint32_t epoch;
    int32_t reserved; /* 0 */
} molink_worker_info;
#define MOLINK_WORKER_INFO_INIT \
    { sizeof(molink_worker_info), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** Checks the options, measures this machine (about a second), listens and begins to connect to the
 *  head. Errors: as molink_engine_create(). */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_worker_create(const molink_worker_options* options,
                                                               molink_worker** out_worker);
/** Waits until molink_worker_close() is called, or the worker has ended by itself: when it has had
 *  no head for longer than its options permit, or a head refuses it for a reason that lasts.
 *  Returns NULL when it was closed, or gave up after a head that closed the cluster. Errors:
 *  DEADLINE_EXCEEDED (it still runs), UNAVAILABLE (gave up), or the head's refusal. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_worker_wait(molink_worker* worker,
                                                             int64_t timeout_us);
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_worker_get(const molink_worker* worker,
                                                            molink_worker_info* out_info);
/** Returns the metrics of the links to the head and to the next stage. Other metrics are 0. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_worker_metrics(const molink_worker* worker,
                                                                molink_metrics** out_metrics);
/** Leaves the cluster, ends the threads. Errors: FAILED_PRECONDITION inside a callback of it. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_worker_close(molink_worker* worker);
/** Closes the worker, calls the finalizer, frees all. Errors: as molink_worker_close(). */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_worker_destroy(molink_worker* worker);

#ifdef __cplusplus
}
#endif

#include "molink_metrics.h"

#endif
