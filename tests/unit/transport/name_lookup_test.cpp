// Names are resolved on another thread, each once for all connections that wait for it.
#include "transport/name_lookup.h"

#include <condition_variable>
#include <map>
#include <mutex>

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
        names.begin(ConnectionId(1), "slow");
        names.begin(ConnectionId(2), "never asked");
        resolver->wait([&] { return resolver->asked.size() == 1; });
    }
    resolver->release();
    REQUIRE_FALSE(told);
    REQUIRE(resolver->asked.count("never asked") == 0);
}
