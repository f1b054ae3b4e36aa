#pragma once

#include <algorithm>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include <molink.h>
#include <molink/log.h>

namespace molink::capi {

/// The threads that are inside a callback of one handle. Freeing the handle on such a thread would
/// wait for itself, so it is refused.
class CallbackThreads {
public:
    class Scope {
    public:
        explicit Scope(CallbackThreads& threads) : threads_(threads) { threads_.enter(); }
        ~Scope() { threads_.leave(); }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        CallbackThreads& threads_;
    };

    bool inside() const {
        const std::lock_guard lock(mutex_);
        return std::find(threads_.begin(), threads_.end(), std::this_thread::get_id()) !=
               threads_.end();
    }

private:
    void enter() {
        const std::lock_guard lock(mutex_);
        threads_.push_back(std::this_thread::get_id());
    }
    void leave() {
        const std::lock_guard lock(mutex_);
        threads_.erase(std::find(threads_.begin(), threads_.end(), std::this_thread::get_id()));
    }

    mutable std::mutex mutex_;
    std::vector<std::thread::id> threads_;
};

/// A log sink that calls a log callback.
class LogCallback final : public LogSink {
public:
    LogCallback(molink_log_fn log, void* user_data, CallbackThreads& threads)
        : log_(log), user_data_(user_data), threads_(threads) {}

    void write(LogLevel level, std::string_view message) override {
        const CallbackThreads::Scope scope(threads_);
        const std::string line(message);  // C wants a NUL at the end
        log_(user_data_, static_cast<std::int32_t>(level), line.c_str(), line.size());
    }

private:
    const molink_log_fn log_;
    void* const user_data_;
    CallbackThreads& threads_;
};

}  // namespace molink::capi
