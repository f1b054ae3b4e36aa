// One loop thread per node: poll the hub, run what other threads posted, tick
// the node. The state machines never see a second thread, which is what lets a
// simulator drive the same code.
#include "node/node_loop.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <utility>

#include "base/foreign.h"
#include "base/limits.h"
#include "base/thread_start.h"

namespace molink {

NodeLoop::NodeLoop(ChannelHub& hub, const Clock& clock, Task tick,
                   std::function<std::int64_t()> next_timer_us,
                   std::function<void(const Status&)> on_failed)
    : hub_(hub),
      clock_(clock),
      tick_(std::move(tick)),
      next_timer_us_(std::move(next_timer_us)),
      on_failed_(std::move(on_failed)) {}

NodeLoop::~NodeLoop() {
    stop();
}

void NodeLoop::start() {
    thread_ = std::thread([this] { run(); });
}

/// What the transport throws here is dropped: the loop looks by itself every now and then, and
/// hears of the same trouble.
void NodeLoop::wake() {
    const Status woken = call_foreign("wake the loop", [this]() -> Status {
        hub_.wake();
        return {};
    });
    static_cast<void>(woken.ok());
}

bool NodeLoop::post(Task task) {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return false;
        posted_.push_back(std::move(task));
    }
    wake();
    return true;
}

void NodeLoop::call(const Task& task) {
    std::mutex done_mutex;
    std::condition_variable done_signal;
    bool done = false;
    // The task's copy of this is destroyed when it was run, or dropped.
    std::shared_ptr<void> ended(nullptr, [&](void*) {
        const std::lock_guard lock(done_mutex);
        done = true;
        done_signal.notify_one();
    });
    const bool posted = post([&task, ended = std::move(ended)] { task(); });
    if (!posted) {
        const std::lock_guard stopped(stop_mutex_);  // until the loop has ended
        if (!has_failed()) task();
        return;
    }
    std::unique_lock lock(done_mutex);
    done_signal.wait(lock, [&] { return done; });
}

void NodeLoop::stop(const Task& last, const std::function<bool()>& flushed) {
    const std::lock_guard stop_lock(stop_mutex_);
    {
        const std::lock_guard lock(mutex_);
        if (stopping_ && !failed_) return;
        stopping_ = true;
        last_ = last;
        flushed_ = flushed;
    }
    if (!thread_.joinable()) return;
    wake();
    thread_.join();
}

bool NodeLoop::has_failed() {
    const std::lock_guard lock(mutex_);
    return failed_;
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
    const Status ended = call_foreign("the loop of the node", [this]() -> Status {
        run_until_stopped();
        return {};
    });
    if (ended.ok()) return;
    std::vector<Task> dropped;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = failed_ = true;
        dropped.swap(posted_);
    }
    dropped.clear();
    on_failed_(ended);
}

void NodeLoop::run_until_stopped() {
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
