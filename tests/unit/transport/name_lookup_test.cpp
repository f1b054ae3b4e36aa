// Names are resolved on other threads, each once for all connections that wait for it.
#include "transport/name_lookup.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/peer_limits.h"
#include "support/catch.h"

using namespace molink;

namespace {

/// A resolver that answers when it is told to.
struct HeldResolver {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, int> asked;  // under mutex
    bool open = false;                 // under mutex
    int ready = 0;                     // under mutex

    NameLookup::Addresses resolve(const std::string& host) {
        std::unique_lock lock(mutex);
        ++asked[host];
        changed.notify_all();
        changed.wait(lock, [&] { return open; });
        if (host == "none") return Status(StatusCode::not_found, "no 'none'");
        return std::vector<std::string>{"192.0.2.1", "192.0.2.2"};
    }
    void release() {
        const std::lock_guard lock(mutex);
        open = true;
        changed.notify_all();
    }
    template <typename Done>
    void wait(Done done) {
        std::unique_lock lock(mutex);
        changed.wait(lock, done);
    }
};

}  // namespace

TEST_CASE("connections that wait for one name are answered by one question") {
    HeldResolver resolver;
    NameLookup names(
        [&] {
            const std::lock_guard lock(resolver.mutex);
            ++resolver.ready;
            resolver.changed.notify_all();
        },
        [&](const std::string& host) { return resolver.resolve(host); });
    names.begin(ConnectionId(1), "box");
    names.begin(ConnectionId(2), "none");
    names.begin(ConnectionId(3), "box");
    REQUIRE(names.take().empty());  // nobody waited for the resolver
    resolver.release();
    resolver.wait([&] { return resolver.ready == 2; });
    std::map<ConnectionId, NameLookup::Addresses> answers;
    for (auto& answer : names.take()) answers.emplace(answer.connection, answer.addresses);
    REQUIRE(answers.size() == 3);
    REQUIRE(answers.at(ConnectionId(1))->size() == 2);
    REQUIRE(answers.at(ConnectionId(3))->size() == 2);
    REQUIRE(answers.at(ConnectionId(2)).status().message() == "no 'none'");
    REQUIRE(resolver.asked == std::map<std::string, int>{{"box", 1}, {"none", 1}});
    names.begin(ConnectionId(4), "box");  // each time again: a name may move
    resolver.wait([&] { return resolver.ready == 3; });
    REQUIRE(names.take().size() == 1);
    REQUIRE(resolver.asked["box"] == 2);
}

TEST_CASE("the end of a lookup does not wait for the resolver") {
    const auto resolver = std::make_shared<HeldResolver>();
    bool told = false;
    {
        NameLookup names([&] { told = true; },
                         [resolver](const std::string& host) { return resolver->resolve(host); });
        for (std::uint64_t i = 0; i < limits::kMaxNameLookups; ++i) {
            names.begin(ConnectionId(i), "slow-" + std::to_string(i));
        }
        names.begin(ConnectionId(100), "unasked");
        resolver->wait([&] { return resolver->asked.size() == limits::kMaxNameLookups; });
    }
    resolver->release();
    REQUIRE_FALSE(told);
    REQUIRE(resolver->asked.count("unasked") == 0);
}

TEST_CASE("a slow name does not hold up another one") {
    std::promise<void> quick_resolved;
    std::promise<void> both_resolved;
    std::atomic<int> ready{0};
    auto waits = quick_resolved.get_future();
    NameLookup names(
        [&] {
            if (++ready == 2) both_resolved.set_value();
        },
        [&](const std::string& host) -> NameLookup::Addresses {
            if (host == "quick") {
                quick_resolved.set_value();
            } else if (waits.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
                return make_error(StatusCode::unavailable, "nobody asked for the other name");
            }
            return std::vector<std::string>{"127.0.0.1"};
        });
    names.begin(ConnectionId(1), "slow");
    names.begin(ConnectionId(2), "quick");
    REQUIRE(both_resolved.get_future().wait_for(std::chrono::seconds(60)) ==
            std::future_status::ready);
    for (const auto& answer : names.take()) CHECK(answer.addresses.has_value());
}
