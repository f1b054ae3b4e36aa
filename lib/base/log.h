#pragma once

#include <utility>

#include <fmt/core.h>

#include <molink/log.h>

namespace molink {

/// Formatting front of a LogSink; a default-made Log drops everything.
/// Thread: as safe as the sink, which must outlive it.
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
