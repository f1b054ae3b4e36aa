#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <molink/status.h>

namespace molink::test {

/// The calls of one stream of a foreign device that are not done yet. ForeignWorker's mutex guards
/// it.
struct ForeignQueue {
    struct Call {
        std::function<Status()> run;
        std::shared_ptr<ForeignQueue> other;  // when set: waits until `other`
        std::uint64_t other_calls = 0;        // has done this many calls
    };
    std::deque<Call> calls;
    std::uint64_t enqueued = 0;
    std::uint64_t done = 0;
    std::uint64_t wanted = 0;  // somebody waits until this many are done
    bool running = false;
    bool closed = false;
    Status status;  // once it is an error, calls are dropped
};

/// Runs the calls of all streams on one thread, the newest stream first. A call runs when somebody
/// waits for it, or when its stream has more than `lag` calls left (negative: only the former).
class ForeignWorker {
public:
    explicit ForeignWorker(int lag);
    ~ForeignWorker();

    std::shared_ptr<ForeignQueue> open();
    /// Waits for the call under way and drops the rest.
    void close(const std::shared_ptr<ForeignQueue>& queue);
    /// Returns how many calls the queue has had, this one included.
    std::uint64_t enqueue(ForeignQueue& queue, ForeignQueue::Call call);
    /// Waits until `calls` calls are done, or dropped because of an error. Returns that error.
    Status wait(ForeignQueue& queue, std::uint64_t calls);
    /// Runs `body` while no call runs.
    template <typename Body>
    auto exclusive(const Body& body) {
        const std::lock_guard lock(running_);
        return body();
    }

private:
    void run();
    ForeignQueue* next();
    bool may_run(ForeignQueue& queue) const;

    const int lag_;
    std::mutex mutex_;
    std::mutex running_;  // held while a call runs
    std::condition_variable changed_;
    std::vector<std::shared_ptr<ForeignQueue>> queues_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace molink::test
