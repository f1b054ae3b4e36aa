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

/// Where an engine stands.
enum class EngineState : std::int32_t {
    waiting = 0,  ///< for nodes; see ClusterView::missing
    loading = 1,  ///< nodes read their layers
    ready = 2,    ///< serves
    closed = 3,
};

/// A copy of what the head knows of its cluster.
struct ClusterView {
    EngineState state = EngineState::waiting;
    std::string missing;     ///< what it waits for, for people; empty when ready
    std::string last_error;  ///< why the last pipeline ended or could not be built; may be empty
    std::uint32_t epoch = 0;
    std::vector<NodeInfo> nodes;  ///< the head's own stage first, then by arrival
    std::vector<NodeId> stages;   ///< pipeline order; empty while there is none
};

/// What a partitioner has to know about the model of `options` and the work expected, nodes and
/// links not included. Reads config.json alone. Errors: as Engine::open.
MOLINK_EXPORT Result<PartitionInput> describe_partition(const EngineOptions& options);

/// The head of a cluster: takes in workers, splits the model, serves requests. With stages = 1 it
/// is a whole system in one process.
///
/// Thread-safe: calls enqueue and return. Callbacks run on one delivery thread. The destructor does
/// what close() does.
class MOLINK_EXPORT Engine {
public:
    virtual ~Engine();

    /// Checks the options, reads the model's description, listens and starts the threads; nodes
    /// join and load from then on. Errors: invalid_argument, not_found (model), data_loss (model
    /// files), unavailable (address in use), resource_exhausted.
    static Result<std::unique_ptr<Engine>> open(EngineOptions options);

    /// Waits until the pipeline serves, at most timeout_us (kWaitForever: without limit). Errors:
    /// deadline_exceeded (says what is missing), cancelled (closed meanwhile), why the pipeline
    /// cannot be built at all, or invalid_argument (another negative time-out). Thread: any but the
    /// delivery thread.
    virtual Status wait_ready(std::int64_t timeout_us) = 0;

    /// Queues a request. Errors: invalid_argument (empty prompt, prompt longer than the context
    /// with both numbers, token outside the vocabulary, no tokenizer, an option out of its limits),
    /// resource_exhausted (queue full, or more KV blocks than the pipeline has), unavailable (a
    /// node was lost; says what is missing), failed_precondition (closed). On error the callback is
    /// never called; after success it gets exactly one last event.
    virtual Result<RequestId> submit(GenerateRequest request, RequestCallback callback) = 0;

    /// Ends a request early; its last event says cancelled. Unknown or finished ids are ignored.
    virtual void cancel(RequestId request) = 0;

    /// The tokens of `text`; `add_special`: with those that the tokenizer puts around a prompt.
    /// Errors: failed_precondition (no tokenizer), invalid_argument (not UTF-8). Thread: any.
    virtual Result<std::vector<Token>> tokenize(std::string_view text, bool add_special) const = 0;
    /// The bytes of `tokens`, special ones included; a single token need not be whole characters.
    /// Errors: failed_precondition (no tokenizer). Thread: any.
    virtual Result<std::string> detokenize(std::span<const Token> tokens) const = 0;

    /// The address workers join at, port filled in.
    virtual std::string address() const = 0;
    virtual const ModelSpec& model() const = 0;
    virtual ClusterView cluster() const = 0;
    /// The split of the layers, with what is predicted for it, and what it was made from.
    virtual PartitionReport partition() const = 0;
    virtual MetricsSnapshot metrics() const = 0;

    /// Refuses new work, ends every request (cancelled), tells the workers, joins the threads.
    /// Errors: failed_precondition when called from a callback (nothing happens then).
    virtual Status close() = 0;
};

}  // namespace molink
