// A pool with one loop under way at a time. Pieces are handed out by a counter, so a thread that
// is slowed down by another process simply takes fewer of them. Every worker checks in once per
// loop; that makes the end of a loop a single counter to wait on.
#include "backend/cpu/thread_pool.h"

#include <algorithm>

namespace molink {
namespace {

/// About 20 us of looking before sleeping.
constexpr int kSpins = 2000;

void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

/// Waits until `value` differs from `old`.
void await_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
    for (int i = 0; i < kSpins; ++i) {
        if (value.load(std::memory_order_acquire) != old) return;
        relax();
    }
    value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { run_worker(); });
}

ThreadPool::~ThreadPool() {
    stopping_.store(true, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::work() {
    while (true) {
        const std::size_t begin = next_.fetch_add(chunk_, std::memory_order_relaxed);
        if (begin >= count_) return;
        (*body_)(begin, std::min(begin + chunk_, count_));
    }
}

void ThreadPool::run_worker() {
    std::uint32_t seen = 0;
    while (true) {
        await_change(generation_, seen);
        seen = generation_.load(std::memory_order_acquire);
        if (stopping_.load(std::memory_order_relaxed)) return;
        work();
        if (working_.fetch_sub(1, std::memory_order_acq_rel) == 1) working_.notify_one();
    }
}

void ThreadPool::parallel_for(std::size_t count, std::size_t chunk, const Body& body) {
    if (count == 0) return;
    if (workers_.empty() || count <= chunk) {
        body(0, count);
        return;
    }
    body_ = &body;
    count_ = count;
    chunk_ = std::max<std::size_t>(chunk, 1);
    next_.store(0, std::memory_order_relaxed);
    working_.store(static_cast<std::uint32_t>(workers_.size()), std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    work();
    std::uint32_t left = working_.load(std::memory_order_acquire);
    while (left != 0) {
        await_change(working_, left);
        left = working_.load(std::memory_order_acquire);
    }
}

}  // namespace molink
