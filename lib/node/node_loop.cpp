// One loop thread per node: poll the hub, run what other threads posted, tick
// the node. The state machines never see a second thread, which is what lets a
// simulator drive the same code.
#include "node/node_loop.h"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "base/limits.h"
#include "base/thread_start.h"

namespace molink {

NodeLoop::NodeLoop(ChannelHub& hub, const Clock& clock, Task tick,
                   std::function<std::int64_t()> next_timer_us)
    : hub_(hub), clock_(clock), tick_(std::move(tick)), next_timer_us_(std::move(next_timer_us)) {}

NodeLoop::~NodeLoop() {
    stop();
}

void NodeLoop::start() {
    thread_ = std::thread([this] { run(); });
}

bool NodeLoop::post(Task task) {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return false;
        posted_.push_back(std::move(task));
    }
    hub_.wake();
    return true;
}

void NodeLoop::call(const Task& task) {
    std::mutex done_mutex;
    std::condition_variable done_signal;
    bool done = false;
    const bool posted = post([&] {
        task();
        const std::lock_guard lock(done_mutex);
        done = true;
        done_signal.notify_one();
    });
    if (!posted) {
        const std::lock_guard stopped(stop_mutex_);  // until the loop has ended
        task();
        return;
    }
    std::unique_lock lock(done_mutex);
    done_signal.wait(lock, [&] { return done; });
}

void NodeLoop::stop(const Task& last, const std::function<bool()>& flushed) {
    const std::lock_guard stop_lock(stop_mutex_);
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        stopping_ = true;
        last_ = last;
        flushed_ = flushed;
    }
    if (!thread_.joinable()) return;
    hub_.wake();
    thread_.join();
}

void NodeLoop::run_posted() {
    std::vector<Task> tasks;
    {
        const std::lock_guard lock(mutex_);
        tasks.swap(posted_);
    }
    for (Task& task : tasks) task();
}

void NodeLoop::run() {
    begin_thread("molink-loop");
    constexpr std::int64_t kLongestWaitUs = 100'000;
    while (true) {
        const std::int64_t due = next_timer_us_() - clock_.now_us();
        hub_.poll(std::clamp<std::int64_t>(due, 0, kLongestWaitUs));
        run_posted();
        tick_();
        const std::lock_guard lock(mutex_);
        if (stopping_ && posted_.empty()) break;
    }
    if (last_) last_();
    const std::int64_t deadline = clock_.now_us() + limits::kFarewellUs;
    while (flushed_ && !flushed_() && clock_.now_us() < deadline) hub_.poll(10'000);
}

}  // namespace molink
