// Computes the results of a measurement from its streams. Tokens and gaps count only while all
// streams decode, so that ramp and tail do not change the rate. A time to first token counts from
// submit. Real and simulated runs use the same code.
#include "streams.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

namespace molink::bench {
namespace {

using Spans = std::vector<std::pair<double, double>>;

/// Adds the gaps of the streams within the measurement, and those that overlap one of `beside`.
void add_gaps(const Streams& streams, const Spans& beside, Measured& measured) {
    std::vector<double> gaps, overlapping, means;
    for (const Stream& stream : streams.decoding) {
        double sum_ms = 0;
        std::size_t count = 0;
        for (std::size_t i = 1; i < stream.tokens.size(); ++i) {
            const double from = stream.tokens[i - 1];
            const double to = stream.tokens[i];
            if (from < streams.begin || to > streams.end) continue;
            gaps.push_back((to - from) * 1e3);
            sum_ms += gaps.back();
            ++count;
            const bool overlaps = std::any_of(beside.begin(), beside.end(), [&](const auto& span) {
                return span.first < to && span.second > from;
            });
            if (overlaps) overlapping.push_back(gaps.back());
        }
        if (count > 0) means.push_back(sum_ms / static_cast<double>(count));
    }
    measured.gap = Spread::of(std::move(gaps));
    measured.gap_beside = Spread::of(std::move(overlapping));
    measured.tpot_ms = Spread::of(std::move(means)).p50;
}

/// Returns the tokens/s of all streams. Streams that decode together get their tokens at the same
/// time, so one more cycle within the measurement would change the rate by some percent. Each
/// stream is therefore counted from its first to its last token in the measurement.
double decode_rate(const Streams& streams) {
    double rate = 0;
    for (const Stream& stream : streams.decoding) {
        const auto& tokens = stream.tokens;
        const auto first = std::lower_bound(tokens.begin(), tokens.end(), streams.begin);
        const auto end = std::upper_bound(first, tokens.end(), streams.end);
        if (end - first < 2 || *(end - 1) <= *first) continue;
        rate += static_cast<double>(end - first - 1) / (*(end - 1) - *first);
    }
    return rate;
}

}  // namespace

std::vector<Arrival> draw_arrivals(const LoadPlan& plan) {
    std::vector<Arrival> arrivals;
    if (plan.prompts_per_s <= 0) return arrivals;
    std::mt19937_64 random(3);
    std::exponential_distribution<double> between(plan.prompts_per_s);
    std::uniform_int_distribution<std::int32_t> rows(512, 1024);
    for (double at = between(random); at < plan.seconds; at += between(random)) {
        arrivals.push_back({at, rows(random)});
    }
    return arrivals;
}

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

Measured measure(const Streams& streams) {
    Measured measured;
    Spans beside;
    std::vector<double> ttft;
    std::size_t tokens = 0;
    const auto count = [&](const Stream& stream) {
        tokens += static_cast<std::size_t>(
            std::count_if(stream.tokens.begin(), stream.tokens.end(),
                          [&](double at) { return at > streams.begin && at <= streams.end; }));
    };
    for (const Stream& prompt : streams.prompts) {
        const bool came = !prompt.tokens.empty();
        const double first = came ? prompt.tokens.front() : streams.over;
        measured.unfinished += came ? 0 : 1;
        beside.emplace_back(prompt.submitted, first);
        ttft.push_back((first - prompt.submitted) * 1e3);
        count(prompt);
    }
    for (const Stream& stream : streams.decoding) {
        count(stream);
        if (streams.prompts.empty() && !stream.tokens.empty()) {
            ttft.push_back((stream.tokens.front() - stream.submitted) * 1e3);
        }
    }
    measured.prompts = static_cast<std::int32_t>(streams.prompts.size());
    measured.ttft = Spread::of(std::move(ttft));
    add_gaps(streams, beside, measured);
    measured.tokens_per_s =
        streams.prompts.empty()
            ? decode_rate(streams)
            : static_cast<double>(tokens) / std::max(streams.end - streams.begin, 1e-9);
    return measured;
}

}  // namespace molink::bench
