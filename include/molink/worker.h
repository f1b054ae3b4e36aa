#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <molink/clock.h>
#include <molink/cluster.h>
#include <molink/export.h>
#include <molink/metrics.h>
#include <molink/options.h>
#include <molink/status.h>

namespace molink {

/// What a worker knows of itself.
struct WorkerView {
    NodeState state = NodeState::joined;
    bool welcomed = false;  ///< the head accepted it
    std::string address;    ///< what others dial
    LayerRange layers;
    std::int64_t weight_bytes = 0;
    std::int64_t loaded_bytes = 0;
    std::int64_t kv_blocks = 0;
    std::uint32_t epoch = 0;
    std::string farewell;            ///< the head's words when it let this node go; empty before
    std::vector<LinkMetrics> links;  ///< to the head and to the next stage
};

/// Joins a head, holds a range of layers and computes.
/// Thread-safe. The destructor does what close() does.
class MOLINK_EXPORT Worker {
public:
    virtual ~Worker();

    /// Checks the options, reads the model's description, measures this machine (about a second),
    /// listens and begins to dial the head. Errors as Engine::open.
    static Result<std::unique_ptr<Worker>> open(WorkerOptions options);

    /// Waits until the worker's part is over, at most timeout_us (kWaitForever: without limit). ok:
    /// the head closed the cluster, or close() was called. Errors: deadline_exceeded (still
    /// working), unavailable (head cannot be reached, or was lost), the head's refusal with its
    /// reason, or invalid_argument (another negative time-out).
    virtual Status wait(std::int64_t timeout_us) = 0;

    virtual WorkerView view() const = 0;

    /// Leaves the cluster and joins the threads.
    virtual void close() = 0;
};

}  // namespace molink
