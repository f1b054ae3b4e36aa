#pragma once

#include <cstdint>
#include <string_view>

#include <molink/export.h>

namespace molink {

enum class LogLevel : std::int32_t { error = 0, warning = 1, info = 2, debug = 3 };

/// Receives log lines. The library itself never prints.
/// Thread: the library's threads call write(), possibly concurrently. It must not call the library
/// and must not throw.
class MOLINK_EXPORT LogSink {
public:
    virtual ~LogSink();
    /// Receives one complete line without a newline. `message` is valid only during the call.
    virtual void write(LogLevel level, std::string_view message) = 0;
};

}  // namespace molink
