#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <molink/clock.h>
#include <molink/status.h>

#include "channel/channel_hub.h"

namespace molink {

/// The thread that owns a node and its sockets. All of the node's code runs on it; other threads
/// post tasks.
class NodeLoop {
public:
    using Task = std::function<void()>;

    /// `hub` and `clock` must outlive it. `tick` runs after each poll, and at next_timer_us() at
    /// the latest. When anything on the loop throws, the loop ends, because the state of the node
    /// is not known any more, and `on_failed` is told why, on the loop's thread; it must not throw.
    NodeLoop(ChannelHub& hub, const Clock& clock, Task tick,
             std::function<std::int64_t()> next_timer_us,
             std::function<void(const Status&)> on_failed);
    /// Calls stop() if nobody has.
    ~NodeLoop();

    void start();
    /// Runs `task` on the loop, in order of posting. Returns false, and drops the task, after
    /// stop() or when the loop has failed. Thread: any.
    bool post(Task task);
    /// Runs `task` on the loop and waits for its end. Runs it on the calling thread when the loop
    /// was stopped, and not at all when it has failed.
    void call(const Task& task);
    /// Runs what was posted, then `last`; polls until `flushed` returns true or kFarewellUs have
    /// passed; joins the thread. After a failure it only joins. Call it once. Thread: any but the
    /// loop.
    void stop(const Task& last = {}, const std::function<bool()>& flushed = {});

private:
    void run();
    void run_until_stopped();
    void run_posted();
    void wake();
    bool has_failed();

    ChannelHub& hub_;
    const Clock& clock_;
    Task tick_;
    std::function<std::int64_t()> next_timer_us_;
    std::function<void(const Status&)> on_failed_;
    Task last_;
    std::function<bool()> flushed_;
    std::mutex stop_mutex_;  // held while the thread is being joined
    std::mutex mutex_;
    std::vector<Task> posted_;
    bool stopping_ = false;
    bool failed_ = false;
    std::thread thread_;
};

}  // namespace molink
