#pragma once

#include <unistd.h>

#include <cstddef>

namespace molink {

/// Bytes of a page of virtual memory.
inline std::size_t page_size() {
    static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return bytes;
}

}  // namespace molink
