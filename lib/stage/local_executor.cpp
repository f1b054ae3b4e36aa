// The compute thread of a node. Calls from the loop only queue; results wait in a queue until the
// loop takes them. Decode parts overtake prefill parts, but after a few in a row a waiting prefill
// part gets its turn, so that a bottleneck stage with decode always at the door still prefills. A
// new load() makes everything of the epoch before it void, also a load under way.
#include "stage/local_executor.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "backend/backend.h"
#include "base/error.h"
#include "base/limits.h"
#include "loader/checkpoint.h"
#include "model/model.h"
#include "stage/stage_runner.h"

namespace molink {
namespace {

class LocalExecutor final : public StageExecutor {
public:
    LocalExecutor(const LocalExecutorOptions& options, const Clock& clock,
                  std::function<void()> notify, std::unique_ptr<Backend> backend,
                  Checkpoint checkpoint, Described described)
        : options_(options),
          clock_(clock),
          notify_(std::move(notify)),
          backend_(std::move(backend)),
          checkpoint_(std::move(checkpoint)),
          described_(std::move(described)),
          thread_([this] { run(); }) {}

    ~LocalExecutor() override {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            wanted_epoch_.store(0);
        }
        signal_.notify_all();
        thread_.join();
    }

    void load(const StageConfig& config) override {
        {
            const std::lock_guard lock(mutex_);
            load_ = config;
            start_.reset();
            decode_.clear();
            prefill_.clear();
            events_.clear();
            wanted_epoch_.store(config.epoch.value);
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

    void submit(Part part, std::int64_t arrival_us) override {
        {
            const std::lock_guard lock(mutex_);
            if (part.epoch.value != wanted_epoch_.load()) return;
            auto& queue = part.kind == PartKind::decode ? decode_ : prefill_;
            queue.push_back({std::move(part), arrival_us});
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
    struct Waiting {
        Part part;
        std::int64_t arrival_us = 0;
    };

    void run();
    void do_load(const StageConfig& config);
    void do_start(std::uint64_t kv_blocks);
    void do_part(Waiting waiting);
    std::optional<Waiting> take_part();
    void push(StageEvent event);
    void fail(const Status& status);

    LocalExecutorOptions options_;
    const Clock& clock_;
    std::function<void()> notify_;
    std::unique_ptr<Backend> backend_;
    Checkpoint checkpoint_;
    Described described_;

    std::mutex mutex_;
    std::condition_variable signal_;
    std::optional<StageConfig> load_;     // under mutex_
    std::optional<std::uint64_t> start_;  // under mutex_
    std::deque<Waiting> decode_;          // under mutex_
    std::deque<Waiting> prefill_;         // under mutex_
    std::deque<StageEvent> events_;       // under mutex_
    bool stopping_ = false;               // under mutex_
    std::atomic<std::uint32_t> wanted_epoch_{0};

    // Compute thread only:
    Epoch epoch_;
    std::unique_ptr<StageRunner> runner_;
    bool ready_ = false;
    int decodes_in_a_row_ = 0;
    std::thread thread_;
};

void LocalExecutor::push(StageEvent event) {
    event.epoch = epoch_;
    {
        const std::lock_guard lock(mutex_);
        if (epoch_.value != wanted_epoch_.load()) return;
        events_.push_back(std::move(event));
    }
    notify_();
}

void LocalExecutor::fail(const Status& status) {
    ready_ = false;
    StageEvent event;
    event.kind = StageEventKind::failed;
    event.status = status;
    push(std::move(event));
}

std::optional<LocalExecutor::Waiting> LocalExecutor::take_part() {
    const bool prefill_turn =
        !prefill_.empty() &&
        (decode_.empty() || decodes_in_a_row_ >= limits::kDecodesBeforePrefill);
    auto& queue = prefill_turn ? prefill_ : decode_;
    if (queue.empty()) return std::nullopt;
    decodes_in_a_row_ = prefill_turn ? 0 : decodes_in_a_row_ + 1;
    std::optional<Waiting> taken = std::move(queue.front());
    queue.pop_front();
    return taken;
}

void LocalExecutor::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        signal_.wait(lock, [&] {
            return stopping_ || load_ || start_ || !decode_.empty() || !prefill_.empty();
        });
        if (stopping_) return;
        if (load_) {
            const StageConfig config = *std::exchange(load_, std::nullopt);
            lock.unlock();
            do_load(config);
        } else if (start_) {
            const std::uint64_t blocks = *std::exchange(start_, std::nullopt);
            lock.unlock();
            do_start(blocks);
        } else {
            std::optional<Waiting> waiting = take_part();
            lock.unlock();
            do_part(std::move(*waiting));
        }
        lock.lock();
    }
}

void LocalExecutor::do_load(const StageConfig& config) {
    runner_.reset();
    ready_ = false;
    epoch_ = config.epoch;
    const ModelPart part{config.layers, config.has_embedding, config.has_head};
    const ModelBounds bounds{config.max_rows, config.max_context};
    const auto step = [&](std::uint64_t done, std::uint64_t total) {
        StageEvent event;
        event.kind = StageEventKind::progress;
        event.done_bytes = done;
        event.total_bytes = total;
        push(std::move(event));
        return wanted_epoch_.load() == config.epoch.value;
    };
    const WeightStorage storage =
        options_.weights == WeightMode::q8_0 ? WeightStorage::q8_0 : WeightStorage::native;
    auto model = Model::load(*backend_, checkpoint_, described_, part, storage, bounds, step);
    if (!model) {
        fail(model.error());
        return;
    }
    runner_ = std::make_unique<StageRunner>(*backend_, std::move(*model), described_.spec, config,
                                            options_.kv_type, options_.block_tokens);
    const auto capacity = runner_->block_capacity();
    if (!capacity) {
        fail(capacity.error());
        return;
    }
    StageEvent event;
    event.kind = StageEventKind::loaded;
    event.weight_bytes = runner_->weight_bytes();
    event.kv_block_capacity = *capacity;
    push(std::move(event));
}

void LocalExecutor::do_start(std::uint64_t kv_blocks) {
    if (runner_ == nullptr || kv_blocks == 0) {
        fail(make_error(StatusCode::failed_precondition, "start of a stage that is not loaded"));
        return;
    }
    const Status started = runner_->start(kv_blocks);
    if (!started.ok()) {
        fail(started);
        return;
    }
    ready_ = true;
    StageEvent event;
    event.kind = StageEventKind::ready;
    push(std::move(event));
}

void LocalExecutor::do_part(Waiting waiting) {
    if (waiting.part.epoch != epoch_) return;
    if (!ready_) {
        fail(make_error(StatusCode::failed_precondition, "part {} for a stage that is not ready",
                        waiting.part.id.value));
        return;
    }
    const std::int64_t begin = clock_.now_us();
    auto result = runner_->run(std::move(waiting.part));
    if (!result) {
        fail(result.error());
        return;
    }
    StageTime time;
    time.compute_us = static_cast<std::uint32_t>(clock_.now_us() - begin);
    time.wait_us =
        static_cast<std::uint32_t>(std::max<std::int64_t>(begin - waiting.arrival_us, 0));
    result->part.stage_times.push_back(time);
    StageEvent event;
    event.kind = StageEventKind::result;
    event.result = std::move(*result);
    push(std::move(event));
}

}  // namespace

Result<std::unique_ptr<StageExecutor>> make_local_executor(const LocalExecutorOptions& options,
                                                           const Clock& clock,
                                                           std::function<void()> notify) {
    MOLINK_ASSIGN_OR_RETURN(const ConfigFile config, ConfigFile::load(options.model_dir));
    MOLINK_ASSIGN_OR_RETURN(Described described, describe_model(config));
    MOLINK_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::open(options.model_dir));
    BackendOptions backend_options;
    backend_options.threads = options.threads;
    MOLINK_ASSIGN_OR_RETURN(auto backend, make_backend(options.backend, backend_options));
    return std::unique_ptr<StageExecutor>(
        std::make_unique<LocalExecutor>(options, clock, std::move(notify), std::move(backend),
                                        std::move(checkpoint), std::move(described)));
}

}  // namespace molink
