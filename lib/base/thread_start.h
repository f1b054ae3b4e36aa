#pragma once

#include <pthread.h>

namespace molink {

/// Names the calling thread for tools that list threads. At most 15 characters.
inline void name_this_thread(const char* name) {
    ::pthread_setname_np(::pthread_self(), name);
}

}  // namespace molink
