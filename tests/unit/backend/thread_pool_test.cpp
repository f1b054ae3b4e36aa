// The thread pool of the CPU backend: every index is visited exactly once, results are visible to
// the caller, and pools can be created and destroyed at any time. The thread sanitizer runs these
// tests, too.
#include "backend/cpu/thread_pool.h"

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "support/catch.h"

namespace molink::test {
namespace {

TEST_CASE("every index is visited exactly once") {
    for (const int threads : {1, 2, 3, 8}) {
        ThreadPool pool(threads);
        REQUIRE(pool.threads() == threads);
        for (const std::size_t count : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
            for (const std::size_t chunk : {1u, 2u, 5u, 64u, 5000u}) {
                std::vector<int> visits(count, 0);
                pool.parallel_for(count, chunk, [&](std::size_t begin, std::size_t end) {
                    for (std::size_t i = begin; i < end; ++i) ++visits[i];
                });
                INFO(threads << " threads, " << count << " by " << chunk);
                REQUIRE(visits == std::vector<int>(count, 1));
            }
        }
    }
}

TEST_CASE("with several threads pieces are never larger than asked for") {
    ThreadPool pool(3);
    std::atomic<bool> good{true};
    pool.parallel_for(100, 7, [&](std::size_t begin, std::size_t end) {
        if (end <= begin || end - begin > 7 || begin % 7 != 0) good = false;
    });
    REQUIRE(good);
}

TEST_CASE("a loop reads what the loop before it wrote") {
    ThreadPool pool(4);
    std::vector<std::uint64_t> a(997);
    std::iota(a.begin(), a.end(), std::uint64_t{1});
    std::vector<std::uint64_t> b(a.size());
    for (int round = 0; round < 300; ++round) {
        pool.parallel_for(a.size(), 10, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i) b[i] = a[a.size() - 1 - i];
        });
        pool.parallel_for(a.size(), 13, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i) a[i] = b[i] + 1;
        });
    }
    for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(a[i] == i + 301);
}

TEST_CASE("thousands of tiny loops neither hang nor lose work") {
    ThreadPool pool(3);
    std::atomic<std::uint64_t> sum{0};
    for (int round = 0; round < 5000; ++round) {
        pool.parallel_for(4, 1, [&](std::size_t begin, std::size_t end) {
            sum.fetch_add(end - begin, std::memory_order_relaxed);
        });
    }
    REQUIRE(sum.load() == 20000);
}

TEST_CASE("several threads take part") {
    ThreadPool pool(2);
    // Two pieces that wait for each other finish only when two threads run them.
    std::atomic<int> arrived{0};
    pool.parallel_for(2, 1, [&](std::size_t, std::size_t) {
        arrived.fetch_add(1);
        while (arrived.load() < 2) std::this_thread::yield();
    });
    REQUIRE(arrived.load() == 2);
}

TEST_CASE("a pool can be destroyed at once, while it sleeps and after work") {
    for (int round = 0; round < 50; ++round) {
        ThreadPool pool(4);
        if (round % 2 == 0) pool.parallel_for(8, 1, [](std::size_t, std::size_t) {});
    }
}

TEST_CASE("two pools work side by side") {
    std::atomic<int> total{0};
    std::vector<std::thread> owners;
    for (int i = 0; i < 2; ++i) {
        owners.emplace_back([&] {
            ThreadPool pool(2);
            for (int round = 0; round < 500; ++round) {
                pool.parallel_for(16, 1, [&](std::size_t begin, std::size_t end) {
                    total.fetch_add(static_cast<int>(end - begin));
                });
            }
        });
    }
    for (std::thread& owner : owners) owner.join();
    REQUIRE(total.load() == 16000);
}

}  // namespace
}  // namespace molink::test
