#pragma once

#include <pthread.h>

#include <csignal>
#include <initializer_list>

namespace molink {

/// Every thread of the library calls this first. It names the thread for tools that list threads
/// (at most 15 characters), and blocks signals, so that they reach the threads of the host, which
/// knows what to do with them. Signals of faults stay as they are.
inline void begin_thread(const char* name) {
    ::pthread_setname_np(::pthread_self(), name);
    sigset_t blocked;
    ::sigfillset(&blocked);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) {
        ::sigdelset(&blocked, fault);
    }
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
}

}  // namespace molink
