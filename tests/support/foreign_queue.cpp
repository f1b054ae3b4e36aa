// Decides when the foreign device runs a call: as late as the contract permits. Nothing here
// depends on time, so that a run can be repeated.
#include "support/foreign_queue.h"

#include <algorithm>

namespace molink::test {

ForeignWorker::ForeignWorker(int lag) : lag_(lag), thread_([this] { run(); }) {}

ForeignWorker::~ForeignWorker() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

std::shared_ptr<ForeignQueue> ForeignWorker::open() {
    const std::lock_guard lock(mutex_);
    return queues_.emplace_back(std::make_shared<ForeignQueue>());
}

void ForeignWorker::close(const std::shared_ptr<ForeignQueue>& queue) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !queue->running; });
    queue->closed = true;
    queue->calls.clear();
    std::erase(queues_, queue);
    changed_.notify_all();
}

std::uint64_t ForeignWorker::enqueue(ForeignQueue& queue, ForeignQueue::Call call) {
    const std::lock_guard lock(mutex_);
    queue.calls.push_back(std::move(call));
    changed_.notify_all();
    return ++queue.enqueued;
}

Status ForeignWorker::wait(ForeignQueue& queue, std::uint64_t calls) {
    std::unique_lock lock(mutex_);
    queue.wanted = std::max(queue.wanted, calls);
    changed_.notify_all();
    changed_.wait(lock, [&] { return queue.done >= calls; });
    return queue.status;
}

bool ForeignWorker::may_run(ForeignQueue& queue) const {
    if (queue.calls.empty()) return false;
    const bool late = lag_ >= 0 && queue.calls.size() > static_cast<std::size_t>(lag_);
    if (queue.done >= queue.wanted && !late) return false;
    const ForeignQueue::Call& call = queue.calls.front();
    if (call.other == nullptr || call.other->closed) return true;
    call.other->wanted = std::max(call.other->wanted, call.other_calls);
    return call.other->done >= call.other_calls;
}

ForeignQueue* ForeignWorker::next() {
    // Twice, because may_run() marks the calls that a call waits for as wanted.
    for (int round = 0; round < 2; ++round) {
        for (auto queue = queues_.rbegin(); queue != queues_.rend(); ++queue) {
            if (may_run(**queue)) return queue->get();
        }
    }
    return nullptr;
}

void ForeignWorker::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        ForeignQueue* const queue = next();
        if (queue == nullptr) {
            changed_.wait(lock);
            continue;
        }
        const ForeignQueue::Call call = std::move(queue->calls.front());
        queue->calls.pop_front();
        if (call.other != nullptr && queue->status.ok()) queue->status = call.other->status;
        if (call.run && queue->status.ok()) {
            queue->running = true;
            lock.unlock();
            Status status;
            {
                const std::lock_guard alone(running_);
                status = call.run();
            }
            lock.lock();
            queue->running = false;
            queue->status = status;
        }
        ++queue->done;
        changed_.notify_all();
    }
}

}  // namespace molink::test
