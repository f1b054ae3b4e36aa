// Runs the load of one measurement on real processes, after a short load of the same kind. Streams
// begin together. The measurement begins when all of them have decoded for a while, so that rates
// and splits have settled. Prompts then arrive at their times, whether earlier ones have finished
// or not.
#include "load.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>

#include "bench_machine.h"

namespace molink::bench {
namespace {

constexpr std::int32_t kVocabulary = 90;  // of the timed model; not above that of any other
constexpr std::size_t kBegunTokens = 3;
constexpr double kPatienceSeconds = 300;

/// What the callbacks write to. It lives until the last callback is destroyed.
struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::string failure;
};

struct Request {
    RequestId id;
    Stream stream;
    bool ended = false;
};

class Load {
public:
    explicit Load(Engine& engine) : engine_(engine), begin_s_(now_s()) {}

    Request& submit(std::int32_t prompt, std::int32_t output);

    /// Seconds since the load began.
    double now() const { return now_s() - begin_s_; }

    /// Waits for done(), which is called with the lock held. Returns false if `until` comes first.
    template <typename Done>
    bool wait(double until, Done done) {
        std::unique_lock lock(shared_->mutex);
        while (!done()) {
            if (!shared_->failure.empty()) throw std::runtime_error(shared_->failure);
            const double left = until - now();
            if (left <= 0) return false;
            shared_->changed.wait_for(lock, std::chrono::duration<double>(std::min(left, 1.0)));
        }
        return true;
    }
    void sleep_until(double until) {
        wait(until, [] { return false; });
    }

    void cancel_all() {
        for (const auto& request : requests_) engine_.cancel(request->id);
        const bool over = wait(now() + kPatienceSeconds, [&] {
            return std::all_of(requests_.begin(), requests_.end(),
                               [](const auto& request) { return request->ended; });
        });
        if (!over) throw std::runtime_error("streams did not end after they were cancelled");
    }

    /// Copies the first `streams` requests, which decode, and the rest. Call cancel_all() before.
    void collect(std::size_t streams, Streams& to) const {
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            (i < streams ? to.decoding : to.prompts).push_back(requests_[i]->stream);
        }
    }

private:
    Engine& engine_;
    double begin_s_;
    std::mt19937_64 random_{7};
    std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
    std::vector<std::shared_ptr<Request>> requests_;
};

Request& Load::submit(std::int32_t prompt, std::int32_t output) {
    GenerateRequest wanted;
    for (std::int32_t i = 0; i < prompt; ++i) {
        wanted.prompt_tokens.push_back(static_cast<Token>(random_() % kVocabulary));
    }
    wanted.max_tokens = output;
    wanted.ignore_eos = true;
    auto request = std::make_shared<Request>();
    {
        const std::lock_guard lock(shared_->mutex);
        requests_.push_back(request);
        request->stream.submitted = now();
    }
    auto id = engine_.submit(std::move(wanted), [shared = shared_, request,
                                                 begin_s = begin_s_](const RequestEvent& event) {
        const double at = now_s() - begin_s;
        const std::lock_guard lock(shared->mutex);
        request->stream.tokens.insert(request->stream.tokens.end(), event.tokens.size(), at);
        if (event.finish_reason == FinishReason::error) {
            shared->failure = event.status.message();
        }
        request->ended |= event.last;
        shared->changed.notify_all();
    });
    if (!id) throw std::runtime_error(id.error().message());
    request->id = *id;
    return *request;
}

/// The cluster's counters at one time.
struct Counters {
    explicit Counters(BenchCluster& cluster)
        : at_s(now_s()),
          handling_s(cluster.handling_s()),
          metrics(cluster.engine().metrics()),
          bytes(cluster.link_bytes()) {}
    double at_s;
    double handling_s;
    MetricsSnapshot metrics;
    std::vector<std::array<std::uint64_t, 2>> bytes;
};

/// What the cluster uses while there are no requests.
struct Idle {
    double handling = 0;  ///< CPU seconds per second
};

Usage usage_between(const BenchCluster& cluster, const Idle& idle, const Counters& begin,
                    const Counters& end) {
    Usage usage;
    const double seconds = end.at_s - begin.at_s;
    for (std::size_t i = 0; i < end.bytes.size(); ++i) {
        usage.link_bytes.emplace_back();
        for (std::size_t d = 0; d < 2; ++d) {
            const std::uint64_t sent = end.bytes[i][d] - begin.bytes[i][d];
            usage.link_bytes[i][d] = sent;
            usage.link_use = std::max(
                usage.link_use, static_cast<double>(sent) / seconds / cluster.bytes_per_s(i, d));
        }
    }
    std::uint64_t parts = 0;
    for (std::size_t i = 0; i < end.metrics.stages.size(); ++i) {
        parts += end.metrics.stages[i].parts - begin.metrics.stages[i].parts;
        const auto busy_us = end.metrics.stages[i].compute_us - begin.metrics.stages[i].compute_us;
        usage.stage_busy = std::max(usage.stage_busy, static_cast<double>(busy_us) / 1e6 / seconds);
    }
    if (parts > 0) {
        const double handling_s = end.handling_s - begin.handling_s - idle.handling * seconds;
        usage.part_us = std::max(handling_s, 0.0) * 1e6 / static_cast<double>(parts);
    }
    usage.links = end.metrics.links;
    usage.micro_batches = end.metrics.max_micro_batches_in_flight;
    return usage;
}

Idle settle(BenchCluster& cluster) {
    const double begin_s = now_s();
    const double handled_s = cluster.handling_s();
    Load(cluster.engine()).sleep_until(kSettleSeconds);
    return {(cluster.handling_s() - handled_s) / (now_s() - begin_s)};
}

/// Runs the short load that is not counted. Returns how many seconds it took.
double warm_up(Engine& engine, const LoadPlan& plan) {
    Load load(engine);
    std::vector<Request*> streams;
    for (std::int32_t i = 0; i < plan.streams; ++i) {
        streams.push_back(&load.submit(kShortPrompt, kFirstTokens));
    }
    const bool over = load.wait(load.now() + kPatienceSeconds, [&] {
        return std::all_of(streams.begin(), streams.end(),
                           [](const Request* request) { return request->ended; });
    });
    if (!over) throw std::runtime_error("the streams of the warm-up did not end");
    load.sleep_until(load.now() + kPauseSeconds);
    return load.now();
}

/// Starts the streams, and returns when all of them have decoded for a while.
void begin_streams(Load& load, const LoadPlan& plan, std::vector<Request*>& streams) {
    for (std::int32_t i = 0; i < plan.streams; ++i) {
        streams.push_back(&load.submit(kShortPrompt, plan.output));
    }
    const bool begun = load.wait(load.now() + kPatienceSeconds, [&] {
        return std::all_of(streams.begin(), streams.end(), [](const Request* request) {
            return request->stream.tokens.size() >= kBegunTokens;
        });
    });
    if (!begun) throw std::runtime_error("not all streams began to decode");
    load.sleep_until(load.now() + kWarmSeconds);
}

}  // namespace

RunLoad run_load(BenchCluster& cluster, const LoadPlan& plan) {
    RunLoad run;
    const Idle idle = settle(cluster);
    run.warm_s = warm_up(cluster.engine(), plan);
    Load load(cluster.engine());
    std::vector<Request*> streams;
    std::vector<Request*> prompts;
    begin_streams(load, plan, streams);
    const Counters before(cluster);
    run.streams.begin = load.now();
    for (const Arrival& arrival : draw_arrivals(plan)) {
        load.sleep_until(run.streams.begin + arrival.at_s);
        prompts.push_back(&load.submit(arrival.rows, kPromptOutput));
    }
    load.sleep_until(run.streams.begin + plan.seconds);
    run.streams.end = load.now();
    run.usage = usage_between(cluster, idle, before, Counters(cluster));
    const bool cut_short = !load.wait(load.now(), [&] {
        return std::none_of(streams.begin(), streams.end(),
                            [](const Request* request) { return request->ended; });
    });
    if (cut_short) throw std::runtime_error("a stream ended during the measurement");
    // Waits for the prompts under way, so that their times to first token count.
    load.wait(run.streams.end + plan.seconds, [&] {
        return std::all_of(prompts.begin(), prompts.end(),
                           [](const Request* request) { return !request->stream.tokens.empty(); });
    });
    run.streams.over = load.now();
    load.cancel_all();
    load.collect(streams.size(), run.streams);
    return run;
}

}  // namespace molink::bench
