// Tests the foreign device: what it forbids, when it runs ops, and how it fails. It is registered
// here, so that the op conformance test runs on it as well.
#include "support/foreign_backend.h"

#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

#include "op_fixture.h"

namespace molink::test {
namespace {

const bool kRegistered = [] {
    register_foreign_backend();
    return true;
}();

std::string message_of(const Status& status) {
    return status.message();
}

/// Returns whether a child process that runs `body` ends by a signal or with an error.
template <typename Body>
bool dies(const Body& body) {
    const pid_t child = fork();
    if (child == 0) {
        std::signal(SIGSEGV, SIG_DFL);
        body();
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

TEST_CASE("the host cannot access an address of the device") {
    REQUIRE(kRegistered);
    const std::unique_ptr<Backend> backend = make_foreign_backend({});
    auto buffer = backend->allocate(4096);
    REQUIRE(buffer);
    auto* const address = static_cast<volatile char*>((*buffer)->data());
    REQUIRE(dies([&] { static_cast<void>(address[5]); }));
    REQUIRE(dies([&] { address[4095] = 1; }));
    REQUIRE(!dies([] {}));
}

TEST_CASE("ops run only when the host waits, and in order") {
    const std::unique_ptr<Backend> backend = make_foreign_backend({});
    OpFixture f(*backend);
    const std::vector<float> before = f.values(8);
    float* const x = f.put(before);
    auto pinned = backend->allocate_host(32);
    REQUIRE(pinned);
    auto* const host = static_cast<float*>((*pinned)->data());
    f.stream().scale_cap({x, 8, 2.0f, 0});
    f.stream().download(host, x, 32);
    const Mark first = f.stream().record();
    f.stream().scale_cap({x, 8, 2.0f, 0});
    f.stream().download(host, x, 32);
    const Mark second = f.stream().record();
    REQUIRE(std::isnan(host[0]));
    REQUIRE(f.stream().wait(first).ok());
    REQUIRE(host[7] == 2 * before[7]);
    REQUIRE(f.stream().wait(second).ok());
    REQUIRE(host[7] == 4 * before[7]);
    REQUIRE(f.stream().wait(first).ok());
}

TEST_CASE("a host address as the argument of an op is an error that names device and op") {
    const std::unique_ptr<Backend> backend = make_foreign_backend({});
    OpFixture f(*backend);
    std::vector<float> host(8, 1.0f);
    f.stream().scale_cap({host.data(), 8, 2.0f, 0});
    Status status = f.stream().wait(f.stream().record());
    REQUIRE(message_of(status).find("foreign:0: scale_cap got an address") == 0);
    REQUIRE(host[0] == 1.0f);

    OpFixture g(*backend);
    g.stream().upload(g.out(8), host.data(), 32);
    status = g.stream().wait(g.stream().record());
    REQUIRE(message_of(status).find("foreign:0: upload got an address") == 0);
}

TEST_CASE("a failed stream runs no further op and reports its error at every wait") {
    ForeignOptions options;
    options.device = "1";
    options.failing_op = "scale_cap";
    options.fail_at = 2;
    for (const int lag : {-1, 0, 2}) {
        options.lag = lag;
        const std::unique_ptr<Backend> backend = make_foreign_backend(options);
        auto buffer = backend->allocate(32);
        auto pinned = backend->allocate_host(32);
        REQUIRE(buffer);
        REQUIRE(pinned);
        auto* const host = static_cast<float*>((*pinned)->data());
        auto* const x = static_cast<float*>((*buffer)->data());
        std::fill_n(host, 8, 1.0f);
        const std::unique_ptr<Stream> stream = backend->make_stream();
        const std::unique_ptr<Stream> other = backend->make_stream();
        stream->upload(x, host, 32);
        stream->scale_cap({x, 8, 3.0f, 0});
        stream->download(host, x, 32);
        stream->scale_cap({x, 8, 3.0f, 0});
        stream->scale_cap({x, 8, 3.0f, 0});
        stream->download(host, x, 32);
        const Mark end = stream->record();
        other->after(*stream, end);
        other->download(host, x, 32);
        for (Stream* waiting : {other.get(), stream.get(), stream.get()}) {
            const Status status = waiting->wait(waiting->record());
            REQUIRE(status.code() == StatusCode::unavailable);
            REQUIRE(message_of(status) == "foreign:1: scale_cap failed: made to fail by a test");
        }
        REQUIRE(host[0] == 3.0f);
    }
}

TEST_CASE("an allocation beyond the memory of the device is an error with the numbers") {
    ForeignOptions options;
    options.memory_bytes = 10'000;
    const std::unique_ptr<Backend> backend = make_foreign_backend(options);
    REQUIRE(backend->memory().total_bytes == 10'000);
    auto first = backend->allocate(6'000);
    REQUIRE(first);
    REQUIRE(backend->memory().free_bytes == 4'000);
    const auto second = backend->allocate(4'001);
    REQUIRE(!second);
    REQUIRE(second.error().code() == StatusCode::resource_exhausted);
    REQUIRE(message_of(second.error()) ==
            "foreign:0: 4001 bytes of memory are wanted; 4000 of 10000 are free");
    const std::vector<float> values(64 * 64);
    const MatrixSource source{values.data(), DataType::f32, 64, 64};
    const auto packed = backend->pack(&source, 1, DataType::f32);
    REQUIRE(!packed);
    REQUIRE(packed.error().code() == StatusCode::resource_exhausted);
    first->reset();
    REQUIRE(backend->allocate(4'001));
}

}  // namespace
}  // namespace molink::test
