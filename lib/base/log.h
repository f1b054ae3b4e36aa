#pragma once

#include <string>
#include <utility>

#include <fmt/core.h>

#include <molink/log.h>

namespace molink {

/// Gives a line to a sink: cut to limits::kMaxLogLineBytes and with control characters written as
/// \xNN, because parts of it may come from peers. What the sink throws is dropped: a log line never
/// ends a node.
void write_log_line(LogSink& sink, LogLevel level, std::string line) noexcept;

/// Formats lines for a LogSink. A default-constructed Log drops all lines. The sink must outlive
/// it.
/// Thread: as safe as the sink.
class Log {
public:
    Log() = default;
    Log(LogSink* sink, LogLevel limit) : sink_(sink), limit_(limit) {}

    template <typename... Args>
    void operator()(LogLevel level, fmt::format_string<Args...> format, Args&&... args) const {
        if (sink_ == nullptr || level > limit_) return;
        write_log_line(*sink_, level, fmt::format(format, std::forward<Args>(args)...));
    }

private:
    LogSink* sink_ = nullptr;
    LogLevel limit_ = LogLevel::info;
};

}  // namespace molink
