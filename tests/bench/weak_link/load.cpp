// The load of one measurement. Decode alone is measured while every stream decodes: from the last
// first token to the first last one. A mixed load is measured from its first arrival to its last.
#include "load.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>

namespace molink::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int32_t kShortPrompt = 8;
constexpr std::int32_t kVocabulary = 90;  // of the timed model; fits every other
constexpr std::int32_t kPromptOutput = 16;
constexpr double kWarmSeconds = 3;
constexpr double kPatienceSeconds = 300;

double now_s() {
    return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

/// One request and when its tokens came.
struct Stream {
    RequestId id;
    double submitted = 0;
    std::vector<double> tokens;
    bool ended = false;
};

/// What callbacks write to; lives until the last of them is gone.
struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::string failure;
};

class Load {
public:
    Load(Engine& engine, std::uint64_t seed) : engine_(engine), random_(seed) {}

    Stream& submit(std::int32_t prompt, std::int32_t output) {
        GenerateRequest request;
        for (std::int32_t i = 0; i < prompt; ++i) {
            request.prompt_tokens.push_back(static_cast<Token>(random_() % kVocabulary));
        }
        request.max_tokens = output;
        request.ignore_eos = true;
        auto stream = std::make_shared<Stream>();
        {
            const std::lock_guard lock(shared_->mutex);
            streams_.push_back(stream);
            stream->submitted = now_s();
        }
        auto id = engine_.submit(std::move(request),
                                 [shared = shared_, stream](const RequestEvent& event) {
                                     const double now = now_s();
                                     const std::lock_guard lock(shared->mutex);
                                     for (std::size_t i = 0; i < event.tokens.size(); ++i)
                                         stream->tokens.push_back(now);
                                     if (event.finish_reason == FinishReason::error)
                                         shared->failure = event.status.message();
                                     stream->ended |= event.last;
                                     shared->changed.notify_all();
                                 });
        if (!id) throw std::runtime_error(id.error().message());
        stream->id = *id;
        return *stream;
    }

    /// Waits until done() or `until`; false then. Called with the lock held.
    template <typename Done>
    bool wait(double until, Done done) {
        std::unique_lock lock(shared_->mutex);
        while (!done()) {
            if (!shared_->failure.empty()) throw std::runtime_error(shared_->failure);
            const double left = until - now_s();
            if (left <= 0) return false;
            shared_->changed.wait_for(lock, std::chrono::duration<double>(std::min(left, 1.0)));
        }
        return true;
    }

    void cancel_all() {
        for (const auto& stream : streams_) engine_.cancel(stream->id);
        wait(now_s() + kPatienceSeconds, [&] {
            return std::all_of(streams_.begin(), streams_.end(),
                               [](const auto& stream) { return stream->ended; });
        });
    }

    const std::vector<std::shared_ptr<Stream>>& streams() const { return streams_; }
    std::mt19937_64& random() { return random_; }

private:
    Engine& engine_;
    std::mt19937_64 random_;
    std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
    std::vector<std::shared_ptr<Stream>> streams_;
};

/// What the cluster's counters say of a stretch of time.
struct Stretch {
    explicit Stretch(BenchCluster& cluster)
        : begin_s(now_s()), metrics(cluster.engine().metrics()) {
        for (int port : cluster.ports()) bytes.push_back(cluster.relay().bytes(port));
    }
    double begin_s;
    MetricsSnapshot metrics;
    std::vector<std::uint64_t> bytes;
};

void add_use(BenchCluster& cluster, const Cell& cell, const Stretch& begin, Measured& measured) {
    const Stretch end(cluster);
    const double seconds = end.begin_s - begin.begin_s;
    const double rate = cell.link.up_mbit_per_s * 125'000;
    for (std::size_t i = 0; i < end.bytes.size(); ++i) {
        const double sent = static_cast<double>(end.bytes[i] - begin.bytes[i]);
        measured.link_use = std::max(measured.link_use, sent / seconds / rate);
    }
    for (std::size_t i = 0; i < end.metrics.stages.size(); ++i) {
        const auto busy = end.metrics.stages[i].compute_us - begin.metrics.stages[i].compute_us;
        measured.stage_busy =
            std::max(measured.stage_busy, static_cast<double>(busy) / 1e6 / seconds);
    }
    measured.micro_batches = end.metrics.max_micro_batches_in_flight;
}

/// Gaps of streams within [begin, end], and those that overlap a span of `beside`.
void add_gaps(const std::vector<Stream*>& streams, double begin, double end,
              const std::vector<std::pair<double, double>>& beside, Measured& measured) {
    std::vector<double> gaps, overlapping, means;
    std::size_t tokens = 0;
    for (const Stream* stream : streams) {
        double sum = 0;
        std::size_t count = 0;
        for (std::size_t i = 1; i < stream->tokens.size(); ++i) {
            const double from = stream->tokens[i - 1];
            const double to = stream->tokens[i];
            if (to <= begin || to > end) continue;
            ++tokens;
            if (from < begin) continue;
            gaps.push_back((to - from) * 1e3);
            sum += to - from;
            ++count;
            const bool overlaps = std::any_of(beside.begin(), beside.end(), [&](const auto& span) {
                return span.first < to && span.second > from;
            });
            if (overlaps) overlapping.push_back(gaps.back());
        }
        if (count > 0) means.push_back(sum / static_cast<double>(count) * 1e3);
    }
    measured.gap = Spread::of(std::move(gaps));
    measured.gap_beside = Spread::of(std::move(overlapping));
    measured.tpot_ms = Spread::of(std::move(means)).p50;
    measured.tokens_per_s = static_cast<double>(tokens) / (end - begin);
}

Measured run_decode(BenchCluster& cluster, const Cell& cell, double tokens_per_s) {
    Load load(cluster.engine(), 7);
    // Long enough that all decode together for about ten seconds at the limit.
    const double each = tokens_per_s / cell.workload.streams;
    const auto output = static_cast<std::int32_t>(std::clamp(10 * each, 32.0, 1200.0)) +
                        std::min(cell.workload.streams, 64);
    for (std::int32_t i = 0; i < cell.workload.streams; ++i) load.submit(kShortPrompt, output);
    const double patience = now_s() + kPatienceSeconds;
    const auto& streams = load.streams();
    const auto all_began = [&] {
        return std::all_of(streams.begin(), streams.end(),
                           [](const auto& stream) { return stream->tokens.size() > 4; });
    };
    if (!load.wait(patience, all_began)) throw std::runtime_error("the streams do not begin");
    const Stretch stretch(cluster);
    const auto one_ended = [&] {
        return std::any_of(streams.begin(), streams.end(),
                           [](const auto& stream) { return stream->ended; });
    };
    if (!load.wait(patience, one_ended)) throw std::runtime_error("the streams do not end");
    Measured measured;
    add_use(cluster, cell, stretch, measured);
    const double end = now_s();
    load.cancel_all();
    std::vector<Stream*> all;
    std::vector<double> ttft;
    double last = end;
    for (const auto& stream : streams) {
        all.push_back(stream.get());
        ttft.push_back((stream->tokens.front() - stream->submitted) * 1e3);
        if (stream->ended && stream->tokens.size() == static_cast<std::size_t>(output)) {
            last = std::min(last, stream->tokens.back());
        }
    }
    measured.ttft = Spread::of(std::move(ttft));
    add_gaps(all, stretch.begin_s, last, {}, measured);
    return measured;
}

Measured run_mixed(BenchCluster& cluster, const Cell& cell, double prompts_per_s, double seconds) {
    Load load(cluster.engine(), 11);
    std::vector<Stream*> decoding;
    for (std::int32_t i = 0; i < cell.workload.streams; ++i) {
        decoding.push_back(&load.submit(kShortPrompt, 3500));
    }
    const double patience = now_s() + kPatienceSeconds;
    const auto& streams = load.streams();
    const bool began = load.wait(patience, [&] {
        return std::all_of(streams.begin(), streams.end(),
                           [](const auto& stream) { return stream->tokens.size() > 2; });
    });
    if (!began) throw std::runtime_error("the streams do not begin");
    load.wait(now_s() + kWarmSeconds, [] { return false; });
    const Stretch stretch(cluster);
    const double begin = stretch.begin_s;
    std::exponential_distribution<double> between(prompts_per_s);
    std::uniform_int_distribution<std::int32_t> length(512, 1024);
    std::vector<Stream*> prompts;
    std::mt19937_64 arrivals(3);
    for (double at = begin + between(arrivals); at < begin + seconds; at += between(arrivals)) {
        load.wait(at, [] { return false; });
        prompts.push_back(&load.submit(length(arrivals), kPromptOutput));
    }
    load.wait(begin + seconds, [] { return false; });
    const double end = now_s();
    Measured measured;
    add_use(cluster, cell, stretch, measured);
    // Prompts under way may still finish: a time to first token that never came would not count.
    load.wait(end + seconds, [&] {
        return std::all_of(prompts.begin(), prompts.end(),
                           [](const Stream* prompt) { return !prompt->tokens.empty(); });
    });
    const double over = now_s();
    load.cancel_all();
    std::vector<std::pair<double, double>> beside;
    std::vector<double> ttft;
    std::size_t of_prompts = 0;
    for (const Stream* prompt : prompts) {
        const double first = prompt->tokens.empty() ? over : prompt->tokens.front();
        measured.unfinished += prompt->tokens.empty() ? 1 : 0;
        beside.emplace_back(prompt->submitted, first);
        ttft.push_back((first - prompt->submitted) * 1e3);
        of_prompts += static_cast<std::size_t>(std::count_if(
            prompt->tokens.begin(), prompt->tokens.end(), [&](double at) { return at <= end; }));
    }
    measured.prompts = static_cast<std::int32_t>(prompts.size());
    measured.ttft = Spread::of(std::move(ttft));
    add_gaps(decoding, begin, end, beside, measured);
    measured.tokens_per_s += static_cast<double>(of_prompts) / (end - begin);
    return measured;
}

}  // namespace

Spread Spread::of(std::vector<double> values_ms) {
    Spread spread;
    if (values_ms.empty()) return spread;
    std::sort(values_ms.begin(), values_ms.end());
    const auto at = [&](double share) {
        const double index = std::ceil(share * static_cast<double>(values_ms.size())) - 1;
        return values_ms[static_cast<std::size_t>(std::max(index, 0.0))];
    };
    return {at(0.5), at(0.9), at(0.99), values_ms.back()};
}

Measured run_load(BenchCluster& cluster, const Cell& cell, const Expected& expected) {
    return expected.prompts_per_s > 0
               ? run_mixed(cluster, cell, expected.prompts_per_s, expected.seconds)
               : run_decode(cluster, cell, expected.tokens_per_s);
}

}  // namespace molink::bench
