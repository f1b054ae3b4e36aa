#pragma once

#include <cstdint>
#include <string_view>

#include <molink/export.h>

namespace molink {

enum class LogLevel : std::int32_t { error = 0, warning = 1, info = 2, debug = 3 };

/// Receives what the library has to say. The library itself never prints.
/// Thread: write() is called from the library's threads, possibly concurrently; it must not call
/// back into the library and must not throw.
class MOLINK_EXPORT LogSink {
public:
    virtual ~LogSink();
    /// One finished line without a newline; `message` is valid for the call only.
    virtual void write(LogLevel level, std::string_view message) = 0;
};

}  // namespace molink
