#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace molink {

/// Runs loops on a fixed set of threads, which includes the caller's. After a loop threads spin for
/// a moment, because the next op of a layer follows at once, and then sleep. Thread: one caller at
/// a time.
class ThreadPool {
public:
    using Body = std::function<void(std::size_t begin, std::size_t end)>;

    /// `threads` is the total number, at least 1. Throws std::system_error when the system refuses
    /// a thread.
    explicit ThreadPool(int threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int threads() const { return static_cast<int>(workers_.size()) + 1; }
    /// Calls `body` over [0, count) in pieces of at most `chunk`, in any order, from several
    /// threads. Returns when all pieces are done. With one thread, the caller runs everything in
    /// one piece.
    void parallel_for(std::size_t count, std::size_t chunk, const Body& body);

private:
    void end_workers();
    void run_worker();
    void work();

    std::vector<std::thread> workers_;
    // The caller writes these while no piece is claimed. A thread may read them once it has claimed
    // a piece.
    const Body* body_ = nullptr;
    std::size_t count_ = 0;
    std::size_t chunk_ = 1;
    std::uint32_t pieces_ = 0;
    /// Loop number in the upper half, pieces not yet claimed in the lower half.
    std::atomic<std::uint64_t> open_{0};
    std::atomic<std::uint32_t> generation_{0};
    std::atomic<std::uint32_t> unfinished_{0};
    std::atomic<bool> stopping_{false};
};

}  // namespace molink
