#pragma once

#include <utility>

#include <fmt/core.h>

#include <molink/log.h>

namespace molink {

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
        sink_->write(level, fmt::format(format, std::forward<Args>(args)...));
    }

private:
    LogSink* sink_ = nullptr;
    LogLevel limit_ = LogLevel::info;
};

}  // namespace molink
