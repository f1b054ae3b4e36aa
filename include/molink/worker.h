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

/// A device of a worker and the stage that it holds.
struct WorkerStageView {
    std::string device;  ///< such as "cpu:0"
    NodeState state = NodeState::joined;
    LayerRange layers;  ///< empty without a stage
    std::int64_t weight_bytes = 0;
    std::int64_t loaded_bytes = 0;
    std::int64_t kv_blocks = 0;
};

/// A copy of what a worker knows about itself.
struct WorkerView {
    /// lost: its work is over. loading: a device loads a stage. ready: every stage that it has
    /// serves. Otherwise joined.
    NodeState state = NodeState::joined;
    bool welcomed = false;                ///< it has a head, which accepted it
    std::string address;                  ///< other nodes connect to it
    std::vector<WorkerStageView> stages;  ///< one for each device
    std::uint32_t epoch = 0;
    std::string farewell;  ///< what a head said last when it dismissed this worker; empty before
    std::string absence;   ///< why it has no head now; empty while it has one
    std::vector<LinkMetrics> links;  ///< peer links to the head and to next stages
};

/// A process that joins a head. Each of its devices is a node that can hold a range of layers and
/// compute them. It outlives heads: when one has gone or turns it away, it dials again, and it
/// keeps its layers, so that a head that returns and assigns the same ones need not wait for them.
/// Thread-safe. The destructor does what close() does. In a child of fork() wait() returns
/// failed_precondition, view() is empty with the state `lost`, and the other calls and the
/// destructor do nothing.
class MOLINK_EXPORT Worker {
public:
    virtual ~Worker();

    /// Checks the options, reads the model's description, measures this machine (about a second),
    /// listens and begins to connect to the head. Errors: those of Engine::open.
    static Result<std::unique_ptr<Worker>> open(WorkerOptions options);

    /// Waits until the worker has ended, for at most timeout_us (kWaitForever: without limit). It
    /// ends by close(), when it has had no head for longer than its options permit, or when a head
    /// refuses it for a reason that lasts, such as another model. Returns ok after close(), and
    /// after a head that closed the cluster. Errors: deadline_exceeded (it has not ended),
    /// unavailable (no head came in time), invalid_argument (any other negative time-out), or the
    /// error with which a head refused it.
    virtual Status wait(std::int64_t timeout_us) = 0;

    virtual WorkerView view() const = 0;

    /// Leaves the cluster and joins the threads.
    virtual void close() = 0;
};

}  // namespace molink
