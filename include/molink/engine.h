#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <molink/clock.h>
#include <molink/cluster.h>
#include <molink/export.h>
#include <molink/metrics.h>
#include <molink/model_spec.h>
#include <molink/options.h>
#include <molink/request.h>
#include <molink/status.h>

namespace molink {

/// State of an engine.
enum class EngineState : std::int32_t {
    waiting = 0,  ///< waits for nodes; see ClusterView::missing
    loading = 1,  ///< nodes read their layers
    ready = 2,    ///< accepts requests
    closed = 3,
};

/// A copy of what the head knows about its cluster.
struct ClusterView {
    EngineState state = EngineState::waiting;
    std::string missing;     ///< readable text of what the engine waits for; empty when ready
    std::string last_error;  ///< why the last pipeline ended or could not be built; may be empty
    std::uint32_t epoch = 0;
    std::vector<NodeInfo> nodes;  ///< the head's own stage first, then by arrival
    std::vector<NodeId> stages;   ///< pipeline order; empty while there is none
};

/// Returns a partitioner's input for the model and the expected workload of `options`, without
/// nodes and links. Reads only config.json. Errors: those of Engine::open.
MOLINK_EXPORT Result<PartitionInput> describe_partition(const EngineOptions& options);

/// The head of a cluster. It accepts workers, splits the model over the nodes and serves requests.
/// With stages = 1 it is a complete system in one process.
///
/// Thread-safe. Calls put work into a queue and return, unless they say that they wait. Callbacks
/// run on one delivery thread. The destructor does what close() does.
///
/// Only the process that opened it can use it. In a child of fork() every call returns
/// failed_precondition, or an empty value if it returns no Status (the state is `closed`), and the
/// destructor does nothing. The parent's engine does not notice. A child that is forked inside a
/// callback must not return from it.
class MOLINK_EXPORT Engine {
public:
    virtual ~Engine();

    /// Checks the options, reads the model's description, listens and starts the threads. Nodes can
    /// join and load after that. Errors: invalid_argument, not_found (model), data_loss (model
    /// files), unavailable (address in use), resource_exhausted.
    static Result<std::unique_ptr<Engine>> open(EngineOptions options);

    /// Waits until the engine is ready, for at most timeout_us (kWaitForever: without limit).
    /// Errors: deadline_exceeded (with what is missing), cancelled (the engine was closed),
    /// invalid_argument (any other negative time-out), or the error that prevents the pipeline from
    /// being built. Thread: any except the delivery thread.
    virtual Status wait_ready(std::int64_t timeout_us) = 0;

    /// Queues a request. Errors: invalid_argument (empty prompt, prompt longer than the context,
    /// token outside the vocabulary, no tokenizer, an option outside its limits, or a request that
    /// needs more KV blocks or places than there are), resource_exhausted (the queue is full),
    /// unavailable (a node was lost; says what is missing), failed_precondition (the engine
    /// is closed). On error the callback is never called. On success it receives exactly one last
    /// event.
    virtual Result<RequestId> submit(GenerateRequest request, RequestCallback callback) = 0;

    /// Ends a request early. Its last event has the finish reason `cancelled`. Unknown and finished
    /// ids are ignored.
    virtual void cancel(RequestId request) = 0;

    /// Returns the tokens of `text`. With `add_special` they include the special tokens that the
    /// tokenizer adds to a prompt. Errors: failed_precondition (no tokenizer), invalid_argument
    /// (not UTF-8). Thread: any.
    virtual Result<std::vector<Token>> tokenize(std::string_view text, bool add_special) const = 0;
    /// Returns the bytes of `tokens`, including special tokens. A token may hold a part of a
    /// character. Errors: failed_precondition (no tokenizer). Thread: any.
    virtual Result<std::string> detokenize(std::span<const Token> tokens) const = 0;

    /// The address that workers join, with the real port.
    virtual std::string address() const = 0;
    virtual const ModelSpec& model() const = 0;
    virtual ClusterView cluster() const = 0;
    /// Returns the current split of the layers, its prediction and the input it was made from.
    virtual PartitionReport partition() const = 0;
    virtual MetricsSnapshot metrics() const = 0;

    /// Refuses new requests, cancels all others, tells the workers and joins the threads. Errors:
    /// failed_precondition when called from a callback; the engine then stays open.
    virtual Status close() = 0;
};

}  // namespace molink
