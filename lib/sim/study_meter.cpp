// Measures a study. Times are taken where callers see them, at the engine's events, and not from
// the engine's own histograms, whose buckets are too coarse for a comparison. Quantiles are exact,
// because all times are kept: 8 bytes for every token.
#include "sim/study_meter.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"

namespace molink::sim {
namespace {

TimeQuantiles quantiles(std::vector<double>& times) {
    TimeQuantiles result;
    if (times.empty()) return result;
    std::sort(times.begin(), times.end());
    const auto at = [&](double share) {
        const auto last = static_cast<double>(times.size() - 1);
        return times[static_cast<std::size_t>(share * last + 0.5)];
    };
    result.count = times.size();
    result.mean_us =
        std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
    result.p50_us = at(0.5);
    result.p90_us = at(0.9);
    result.p99_us = at(0.99);
    result.max_us = times.back();
    return result;
}

}  // namespace

TokenMeter::TokenMeter(const std::vector<PlannedLoad>& load, bool times)
    : keep_times_(times), times_us_(times ? load.size() : 0) {
    for (const PlannedLoad& planned : load) requests_.push_back({planned.output_tokens});
}

void TokenMeter::add_event(const RequestEvent& event, std::int64_t now_us) {
    Request& request = requests_[static_cast<std::size_t>(event.request.value - 1)];
    for (Token token : event.tokens) {
        if (request.tokens++ == 0) {
            request.first_us = now_us;
        } else {
            gaps_us_.push_back(static_cast<double>(now_us - request.last_us));
        }
        request.last_us = now_us;
        if (keep_times_) times_us_[event.request.value - 1].push_back(now_us);
        request.digest = mix64(request.digest + static_cast<std::uint64_t>(token) + 1);
        digest_ = mix64(digest_ ^ mix64(request.digest ^ static_cast<std::uint64_t>(now_us)));
    }
    if (event.finish_reason != FinishReason::none) end(event, request);
}

void TokenMeter::end(const RequestEvent& event, Request& request) {
    ++ended_;
    if (!failure_.empty()) return;
    if (event.finish_reason != FinishReason::length || request.tokens != request.wanted) {
        failure_ = fmt::format("request {} ended with '{}' after {} of {} tokens: {}",
                               event.request.value, finish_reason_name(event.finish_reason),
                               request.tokens, request.wanted, event.status.to_string());
    }
}

void TokenMeter::fill(StudyReport& report, std::int64_t begin_us) {
    std::vector<double> first;
    std::vector<double> mean;
    std::int64_t last_us = begin_us;
    std::uint64_t number = 0;
    for (const Request& request : requests_) {
        report.token_digest += mix64(request.digest + ++number);
        if (request.tokens == 0) continue;
        report.output_tokens += static_cast<std::uint64_t>(request.tokens);
        first.push_back(static_cast<double>(request.first_us - request.arrival_us));
        last_us = std::max(last_us, request.last_us);
        if (request.tokens == 1) continue;
        mean.push_back(static_cast<double>(request.last_us - request.first_us) /
                       (request.tokens - 1));
    }
    report.requests = requests_.size();
    report.seconds = static_cast<double>(last_us - begin_us) * 1e-6;
    if (report.seconds > 0) {
        report.output_tokens_per_s = static_cast<double>(report.output_tokens) / report.seconds;
    }
    report.ttft = quantiles(first);
    report.tpot = quantiles(mean);
    report.gap = quantiles(gaps_us_);
    report.digest = digest_;
    for (std::size_t i = 0; i < times_us_.size(); ++i) {
        StudyTokens tokens{requests_[i].arrival_us - begin_us, std::move(times_us_[i])};
        for (std::int64_t& at_us : tokens.token_us) at_us -= begin_us;
        report.token_times.push_back(std::move(tokens));
    }
}

void MeteredScheduler::observe(const PartReport& report) {
    const std::int64_t under_way = report.retired_us - report.launched_us;
    (report.kind == PartKind::decode ? meter_.decode_us : meter_.prefill_us) += under_way;
    inner_->observe(report);
}

void TimelineRecorder::add(TimelineEvent event) {
    if (event.end_us < begin_us_ || event.begin_us > end_us_) return;
    if (events_.size() >= limits::kMaxTimelineBars) return;
    event.begin_us -= begin_us_;
    event.end_us -= begin_us_;
    events_.push_back(std::move(event));
}

void TimelineRecorder::part(const std::string& node, PartKind kind, std::int32_t rows,
                            std::int64_t begin_us, std::int64_t end_us) {
    if (begin_us > end_us_) return;
    const char* name = kind == PartKind::decode ? "decode" : "prefill";
    add({node, "stage", fmt::format("{} {} rows", name, rows), begin_us, end_us});
}

void TimelineRecorder::flush(Burst& burst) {
    if (burst.bytes == 0) return;
    burst.event.name = fmt::format("{} {} bytes", lane_name(burst.lane), burst.bytes);
    add(burst.event);
    burst.bytes = 0;
}

void TimelineRecorder::frame(const SentFrame& sent) {
    if (sent.begin_us > end_us_) return;
    Burst& burst = bursts_[{sent.from, sent.to}];
    if (burst.lane != sent.lane || burst.event.end_us < sent.begin_us) {
        flush(burst);
        burst.lane = sent.lane;
        burst.event = {sent.from, "to " + sent.to, "", sent.begin_us, sent.end_us};
    }
    burst.bytes += sent.bytes;
    burst.event.end_us = sent.end_us;
}

void TimelineRecorder::request(const std::string& head, std::uint64_t number, std::int64_t begin_us,
                               std::int64_t end_us) {
    if (begin_us > end_us_) return;
    add({head, "requests", fmt::format("request {}", number), begin_us, end_us});
}

std::vector<TimelineEvent> TimelineRecorder::release() {
    for (auto& [pair, burst] : bursts_) flush(burst);
    return std::move(events_);
}

}  // namespace molink::sim
