// Threads of the library leave signals to the host.
#include "base/thread_start.h"

#include <string>
#include <thread>

#include "support/catch.h"

using namespace molink;

TEST_CASE("a thread of the library blocks signals, except those of faults, and has its name") {
    sigset_t mask;
    sigset_t outside;
    char name[16] = {};
    ::sigemptyset(&mask);
    std::thread thread([&] {
        begin_thread("molink-test");
        ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        ::pthread_getname_np(::pthread_self(), name, sizeof name);
    });
    thread.join();
    ::pthread_sigmask(SIG_BLOCK, nullptr, &outside);
    for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGCHLD}) {
        INFO(signal);
        CHECK(::sigismember(&mask, signal) == 1);
        CHECK(::sigismember(&outside, signal) == 0);
    }
    for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGABRT}) {
        INFO(signal);
        CHECK(::sigismember(&mask, signal) == 0);
    }
    CHECK(std::string(name) == "molink-test");
}
