// Negative time-outs, and time-outs that are too long for the clock.
#include "base/timeout.h"

#include <limits>
#include <thread>

#include "support/catch.h"

using namespace molink;

TEST_CASE("one negative time-out waits forever, all others are refused") {
    REQUIRE(check_timeout(0).ok());
    REQUIRE(check_timeout(std::numeric_limits<std::int64_t>::max()).ok());
    REQUIRE(check_timeout(kWaitForever).ok());
    const Status refused = check_timeout(-2);
    REQUIRE(refused.code() == StatusCode::invalid_argument);
    REQUIRE(refused.message() ==
            "the time-out is -2 us; it must be 0 or more, or -1 to wait forever");
    REQUIRE_FALSE(check_timeout(std::numeric_limits<std::int64_t>::min()).ok());
}

TEST_CASE("a wait ends at its time-out or when its condition holds") {
    std::mutex mutex;
    std::condition_variable signal;
    bool settled = false;
    std::unique_lock lock(mutex);
    REQUIRE_FALSE(wait_until(signal, lock, 0, [&] { return settled; }));
    for (const std::int64_t timeout_us : {kWaitForever, std::numeric_limits<std::int64_t>::max()}) {
        settled = false;
        std::thread setter([&] {
            const std::lock_guard held(mutex);
            settled = true;
            signal.notify_all();
        });
        REQUIRE(wait_until(signal, lock, timeout_us, [&] { return settled; }));
        lock.unlock();
        setter.join();
        lock.lock();
    }
}
