// Objects that belong to one process, looked at from a child of fork().
#include <unistd.h>

#include <molink/owner_process.h>

#include "support/catch.h"
#include "support/forked.h"

namespace molink {
namespace {

struct Counted {
    explicit Counted(int& count) : destroyed(count) {}
    ~Counted() { ++destroyed; }
    int& destroyed;
};

using BoundCounted = ProcessBound<Counted>;

TEST_CASE("the process that made an object uses and destroys it") {
    int destroyed = 0;
    {
        const BoundCounted bound("the thing", std::make_unique<Counted>(destroyed));
        CHECK(bound.check().ok());
        CHECK(bound.call([](Counted&) { return 7; }) == 7);
        CHECK(bound.call([](Counted&) { return Status(); }).ok());
        CHECK(destroyed == 0);
    }
    CHECK(destroyed == 1);
}

TEST_CASE("a child of fork() neither uses nor destroys an object of its parent") {
    int destroyed = 0;
    int called = 0;
    auto bound = std::make_unique<BoundCounted>("the thing", std::make_unique<Counted>(destroyed));
    const auto parent = static_cast<long>(::getpid());
    const std::string problem = test::run_forked([&]() -> std::string {
        const auto body = [&](Counted&) { return Status(StatusCode::internal, "it was called"); };
        const Status status = bound->call(body);
        const std::string text = "the thing was opened in process " + std::to_string(parent) +
                                 ", this is process " + std::to_string(::getpid());
        if (status.code() != StatusCode::failed_precondition) return status.to_string();
        if (status.message().find(text) == std::string::npos) return status.message();
        const auto result = bound->call([&](Counted&) { return Result<int>(++called); });
        if (result || result.error().code() != status.code()) return "a Result is no error";
        if (bound->call([&](Counted&) { return ++called; }) != 0) return "a number is not 0";
        bound->call([&](Counted&) { ++called; });
        bound.reset();
        if (called != 0) return "it was called";
        return destroyed == 0 ? "" : "it was destroyed";
    });
    CHECK(problem == "");
    CHECK(bound->call([](Counted&) { return 7; }) == 7);
}

}  // namespace
}  // namespace molink
