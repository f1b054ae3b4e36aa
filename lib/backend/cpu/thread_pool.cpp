// A pool with one loop under way at a time. A counter hands out the pieces, so a thread that is
// slowed down by another process takes fewer of them. The end of a loop waits for pieces, not for
// threads, so a worker that wakes up too late finds nothing to claim and delays nobody. The counter
// carries the number of its loop, so a late claim fails. A thread that has claimed a piece may read
// the loop's fields, because the caller waits for this piece.
#include "backend/cpu/thread_pool.h"

#include <algorithm>

#include "base/thread_start.h"

namespace molink {
namespace {

/// Polls before a thread sleeps, about 20 us.
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
    try {
        for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { run_worker(); });
    } catch (...) {
        end_workers();
        throw;
    }
}

ThreadPool::~ThreadPool() {
    end_workers();
}

void ThreadPool::end_workers() {
    stopping_.store(true, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::work() {
    std::uint64_t open = open_.load(std::memory_order_acquire);
    while ((open & 0xffffffffu) != 0) {
        if (!open_.compare_exchange_weak(open, open - 1, std::memory_order_acquire)) continue;
        const std::size_t piece = pieces_ - static_cast<std::uint32_t>(open);
        const std::size_t begin = piece * chunk_;
        (*body_)(begin, std::min(begin + chunk_, count_));
        if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
        open = open_.load(std::memory_order_acquire);
    }
}

void ThreadPool::run_worker() {
    begin_thread("molink-pool");
    std::uint32_t seen = 0;
    while (true) {
        await_change(generation_, seen);
        seen = generation_.load(std::memory_order_acquire);
        if (stopping_.load(std::memory_order_relaxed)) return;
        work();
    }
}

void ThreadPool::parallel_for(std::size_t count, std::size_t chunk, const Body& body) {
    if (count == 0) return;
    if (workers_.empty() || count <= chunk) {
        body(0, count);
        return;
    }
    constexpr std::size_t kMaxPieces = 0xffffffffu;
    body_ = &body;
    count_ = count;
    chunk_ = std::max({chunk, std::size_t{1}, (count + kMaxPieces - 1) / kMaxPieces});
    pieces_ = static_cast<std::uint32_t>((count + chunk_ - 1) / chunk_);
    unfinished_.store(pieces_, std::memory_order_relaxed);
    const std::uint32_t loop = generation_.load(std::memory_order_relaxed) + 1;
    open_.store(std::uint64_t{loop} << 32 | pieces_, std::memory_order_release);
    generation_.store(loop, std::memory_order_release);
    generation_.notify_all();
    work();
    std::uint32_t left = unfinished_.load(std::memory_order_acquire);
    while (left != 0) {
        await_change(unfinished_, left);
        left = unfinished_.load(std::memory_order_acquire);
    }
}

}  // namespace molink
