// The compute thread of a node. Calls from the loop only queue work, and results wait in a queue
// until the loop fetches them. A new load() makes the epoch before it void, even while that is
// still loading. If the work permits it, the next part begins before the oldest one is finished. A
// part with a given service time starts when it has arrived and the part before it has ended, and
// lasts for that time, so that a thread that wakes up late does not slow the stage down.
#include "stage/thread_executor.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/foreign.h"
#include "base/thread_start.h"
#include "stage/part_queue.h"
#include "stage/stage_output.h"

namespace molink {
namespace {

class ThreadExecutor final : public StageExecutor {
public:
    ThreadExecutor(std::unique_ptr<StageWork> work, const Clock& clock,
                   std::function<void()> notify)
        : work_(std::move(work)),
          clock_(clock),
          notify_(std::move(notify)),
          thread_([this] { run(); }) {}

    ~ThreadExecutor() override {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            ++wanted_load_;
        }
        signal_.notify_all();
        thread_.join();
    }

    void load(const StageConfig& config) override {
        {
            const std::lock_guard lock(mutex_);
            drop_epoch(config.epoch);
            load_ = config;
        }
        signal_.notify_one();
    }

    void drop() override {
        const std::lock_guard lock(mutex_);
        drop_epoch({});
    }

    void unload() override {
        {
            const std::lock_guard lock(mutex_);
            drop_epoch({});
            unload_ = true;
        }
        signal_.notify_one();
    }

    void start(std::uint64_t kv_blocks) override {
        {
            const std::lock_guard lock(mutex_);
            start_ = kv_blocks;
        }
        signal_.notify_one();
    }

    void submit(StageInput input, std::int64_t arrival_us) override {
        {
            const std::lock_guard lock(mutex_);
            if (key_of(input).epoch != wanted_epoch_) return;
            parts_.push(std::move(input), arrival_us);
        }
        signal_.notify_one();
    }

    bool poll(StageEvent& event) override {
        const std::lock_guard lock(mutex_);
        if (events_.empty()) return false;
        event = std::move(events_.front());
        events_.pop_front();
        return true;
    }

private:
    void run();
    /// Makes the present epoch void. Under mutex_.
    void drop_epoch(PipelineEpoch wanted) {
        wanted_epoch_ = wanted;
        load_.reset();
        unload_ = false;
        start_.reset();
        parts_.clear();
        events_.clear();
        ++wanted_load_;
    }
    /// Runs `work`. The stage fails when memory or threads are short, or a backend throws.
    template <typename Work>
    void guarded(const char* what, const Work& work);
    void do_load(const StageConfig& config);
    void do_start(std::uint64_t kv_blocks);
    void begin_part(PartQueue::Waiting waiting);
    void finish_part();
    bool may_begin() const {
        return begun_.size() < static_cast<std::size_t>(work_->parts_at_once());
    }
    void wait_until(std::int64_t end_us);
    /// Returns whether another load() or the destructor has made this epoch void.
    bool outdated() const { return load_number_ != wanted_load_.load(); }
    void push(StageEvent event);
    void fail(const Status& status);

    std::unique_ptr<StageWork> work_;
    const Clock& clock_;
    std::function<void()> notify_;

    std::mutex mutex_;
    std::condition_variable signal_;
    std::optional<StageConfig> load_;            // under mutex_
    bool unload_ = false;                        // under mutex_
    std::optional<std::uint64_t> start_;         // under mutex_
    PartQueue parts_;                            // under mutex_
    std::deque<StageEvent> events_;              // under mutex_
    PipelineEpoch wanted_epoch_;                 // under mutex_
    bool stopping_ = false;                      // under mutex_
    std::atomic<std::uint64_t> wanted_load_{0};  // number of load() calls; written under mutex_

    // Compute thread only:
    PipelineEpoch epoch_;
    std::uint64_t load_number_ = 0;
    bool loaded_ = false;
    bool ready_ = false;
    std::int64_t busy_until_us_ = 0;
    /// Times of a part under way.
    struct Begun {
        std::int64_t arrival_us = 0;
        std::int64_t begin_us = 0;
        std::int64_t service_us = 0;
        bool returned = false;
    };
    std::deque<Begun> begun_;
    std::thread thread_;
};

void ThreadExecutor::push(StageEvent event) {
    event.epoch = epoch_;
    {
        const std::lock_guard lock(mutex_);
        if (outdated()) return;
        events_.push_back(std::move(event));
    }
    notify_();
}

void ThreadExecutor::fail(const Status& status) {
    ready_ = false;
    begun_.clear();
    StageEvent event;
    event.kind = StageEventKind::failed;
    event.status = status;
    push(std::move(event));
}

template <typename Work>
void ThreadExecutor::guarded(const char* what, const Work& work) {
    const Status status = call_foreign(what, [&]() -> Status {
        work();
        return {};
    });
    if (!status.ok()) fail(status);
}

void ThreadExecutor::run() {
    begin_thread("molink-compute");
    std::unique_lock lock(mutex_);
    while (true) {
        signal_.wait(lock, [&] {
            return stopping_ || load_ || unload_ || start_ || !parts_.empty() || !begun_.empty();
        });
        if (stopping_) return;
        if (load_) {
            const StageConfig config = *std::exchange(load_, std::nullopt);
            load_number_ = wanted_load_.load();
            lock.unlock();
            guarded("load the layers", [&] { do_load(config); });
        } else if (std::exchange(unload_, false)) {
            load_number_ = wanted_load_.load();
            lock.unlock();
            loaded_ = ready_ = false;
            begun_.clear();
            work_->unload();
        } else if (start_) {
            const std::uint64_t blocks = *std::exchange(start_, std::nullopt);
            lock.unlock();
            guarded("allocate KV pages", [&] { do_start(blocks); });
        } else if (!parts_.empty() && may_begin()) {
            std::optional<PartQueue::Waiting> waiting = parts_.pop();
            lock.unlock();
            guarded("compute a part", [&] { begin_part(std::move(*waiting)); });
        } else {
            lock.unlock();
            guarded("compute a part", [&] { finish_part(); });
        }
        lock.lock();
    }
}

void ThreadExecutor::do_load(const StageConfig& config) {
    loaded_ = ready_ = false;
    begun_.clear();
    epoch_ = config.epoch;
    const auto progress = [&](std::uint64_t done, std::uint64_t total) {
        StageEvent event;
        event.kind = StageEventKind::progress;
        event.done_bytes = done;
        event.total_bytes = total;
        push(std::move(event));
        return !outdated();
    };
    auto loaded = work_->load(config, progress);
    if (!loaded) {
        fail(loaded.error());
        return;
    }
    loaded_ = true;
    StageEvent event;
    event.kind = StageEventKind::loaded;
    event.weight_bytes = loaded->weight_bytes;
    event.kv_block_capacity = loaded->kv_block_capacity;
    event.tensors = std::move(loaded->tensors);
    push(std::move(event));
}

void ThreadExecutor::do_start(std::uint64_t kv_blocks) {
    if (!loaded_ || kv_blocks == 0) {
        fail(make_error(
            StatusCode::failed_precondition,
            "start a stage with {} KV blocks: it must be loaded and have at least 1 block",
            kv_blocks));
        return;
    }
    const Status started = work_->start(kv_blocks);
    if (!started.ok()) {
        fail(started);
        return;
    }
    ready_ = true;
    StageEvent event;
    event.kind = StageEventKind::ready;
    push(std::move(event));
}

void ThreadExecutor::wait_until(std::int64_t end_us) {
    std::unique_lock lock(mutex_);
    const auto left = std::chrono::microseconds(end_us - clock_.now_us());
    signal_.wait_for(lock, left, [&] { return stopping_ || outdated(); });
}

void ThreadExecutor::begin_part(PartQueue::Waiting waiting) {
    if (key_of(waiting.input).epoch != epoch_) return;
    if (!ready_) {
        fail(make_error(StatusCode::failed_precondition, "run part {}: the stage is not ready",
                        key_of(waiting.input).id.value));
        return;
    }
    Begun begun;
    begun.arrival_us = waiting.arrival_us;
    begun.service_us = work_->service_us(waiting.input);
    begun.begin_us = begun.service_us > 0 ? waiting.arrival_us : clock_.now_us();
    begun.returned = is_returned(waiting.input);
    const Status status = work_->begin(std::move(waiting.input));
    if (!status.ok()) {
        fail(status);
        return;
    }
    begun_.push_back(begun);
}

/// The time of a part begins when the part before it has ended, so that no time counts twice.
void ThreadExecutor::finish_part() {
    auto result = work_->finish();
    if (!result) {
        fail(result.error());
        return;
    }
    const Begun begun = begun_.front();
    begun_.pop_front();
    const std::int64_t begin_us = std::max(begun.begin_us, busy_until_us_);
    busy_until_us_ = begun.service_us > 0 ? begin_us + begun.service_us : clock_.now_us();
    if (begun.service_us > 0) wait_until(busy_until_us_);
    StageTime time;
    time.compute_us = static_cast<std::uint32_t>(busy_until_us_ - begin_us);
    time.wait_us =
        static_cast<std::uint32_t>(std::max<std::int64_t>(begin_us - begun.arrival_us, 0));
    add_stage_time(*result, begun.returned, time);
    StageEvent event;
    event.kind = StageEventKind::result;
    event.result = std::move(*result);
    push(std::move(event));
}

}  // namespace

std::unique_ptr<StageExecutor> make_thread_executor(std::unique_ptr<StageWork> work,
                                                    const Clock& clock,
                                                    std::function<void()> notify) {
    return std::make_unique<ThreadExecutor>(std::move(work), clock, std::move(notify));
}

}  // namespace molink
