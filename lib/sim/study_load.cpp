// Plans the load of a study: arrivals and lengths. Each request draws from its own counter, so that
// a longer workload begins like a shorter one, and another rate changes only the times. A trace is
// used as it is, but shifted so that its first request arrives at 0.
#include "sim/study_load.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"

namespace molink {
namespace sim {
namespace {

enum LoadDraw : std::uint64_t { gap, prompt_share, output_share };

std::int32_t draw_tokens(const TokenQuantiles& quantiles, double share) {
    double tokens = quantiles.front().second;
    for (std::size_t i = 1; i < quantiles.size(); ++i) {
        const auto& [from, low] = quantiles[i - 1];
        const auto& [to, high] = quantiles[i];
        if (share < from) break;
        const double position = to > from ? std::min((share - from) / (to - from), 1.0) : 1.0;
        tokens = low + (high - low) * position;
    }
    return std::max(1, static_cast<std::int32_t>(std::lround(tokens)));
}

Status check_number(const char* key, double value, double low, double high) {
    if (value >= low && value <= high) return {};
    return invalid_argument("workload: {} is {}; {} to {} are permitted", key, value, low, high);
}

Status check_quantiles(const char* key, const TokenQuantiles& quantiles) {
    if (quantiles.empty()) return invalid_argument("workload: {} has no quantiles", key);
    double before = 0;
    double least = 1;
    for (const auto& [share, tokens] : quantiles) {
        MOLINK_RETURN_IF_ERROR(check_number(key, share, before, 1));
        MOLINK_RETURN_IF_ERROR(check_number(key, tokens, least, limits::kMaxStudyTokens));
        before = share;
        least = tokens;
    }
    return {};
}

}  // namespace

Status check_workload(const StudyWorkload& workload) {
    MOLINK_RETURN_IF_ERROR(check_number("stop_s", workload.stop_s, 0, 1e9));
    MOLINK_RETURN_IF_ERROR(check_number("settle_s", workload.settle_s, 0, 3600));
    if (!workload.trace.empty()) {
        double before = 0;
        for (const StudyRequest& request : workload.trace) {
            MOLINK_RETURN_IF_ERROR(check_number("arrival_s", request.arrival_s, before, 1e9));
            MOLINK_RETURN_IF_ERROR(
                check_number("prompt_tokens", request.prompt_tokens, 1, limits::kMaxStudyTokens));
            MOLINK_RETURN_IF_ERROR(
                check_number("output_tokens", request.output_tokens, 1, limits::kMaxStudyTokens));
            before = request.arrival_s;
        }
        return check_number("requests of the trace", static_cast<double>(workload.trace.size()), 1,
                            limits::kMaxStudyRequests);
    }
    if (!workload.trace_file.empty()) {
        return invalid_argument("workload: the requests of the trace file '{}' were not read",
                                workload.trace_file);
    }
    MOLINK_RETURN_IF_ERROR(check_number("count", workload.count, 1, limits::kMaxStudyRequests));
    MOLINK_RETURN_IF_ERROR(check_quantiles("prompt_tokens", workload.prompt));
    MOLINK_RETURN_IF_ERROR(check_quantiles("output_tokens", workload.output));
    if (closed_streams(workload) != 0) {
        return check_number("arrivals.streams", workload.streams, 1, limits::kMaxStudyRequests);
    }
    if (workload.poisson_per_s == 0) {
        MOLINK_RETURN_IF_ERROR(
            check_number("arrivals.burst", workload.burst, 1, limits::kMaxStudyRequests));
        return check_number("arrivals.every_s", workload.burst_every_s, 0, 1e9);
    }
    return check_number("arrivals.poisson", workload.poisson_per_s, 1e-6, 1e6);
}

std::vector<PlannedLoad> plan_load(const StudyWorkload& workload) {
    std::vector<PlannedLoad> load;
    for (const StudyRequest& request : workload.trace) {
        load.push_back({static_cast<std::int64_t>(
                            (request.arrival_s - workload.trace.front().arrival_s) * 1e6),
                        request.prompt_tokens, request.output_tokens});
    }
    if (!load.empty()) return load;
    double at_s = 0;
    for (std::int32_t i = 0; i < workload.count; ++i) {
        const auto number = static_cast<std::uint64_t>(i);
        const auto uniform = [&](LoadDraw draw) {
            return unit_double(counter_random(workload.seed, number, draw));
        };
        if (workload.poisson_per_s > 0) {
            if (i > 0) at_s += -std::log1p(-uniform(gap)) / workload.poisson_per_s;
        } else if (closed_streams(workload) == 0) {
            at_s = i / workload.burst * workload.burst_every_s;
        }
        load.push_back({static_cast<std::int64_t>(at_s * 1e6),
                        draw_tokens(workload.prompt, uniform(prompt_share)),
                        draw_tokens(workload.output, uniform(output_share))});
    }
    return load;
}

std::int32_t closed_streams(const StudyWorkload& workload) {
    return workload.trace.empty() && workload.poisson_per_s == 0 ? workload.streams : 0;
}

}  // namespace sim

namespace {

/// Removes a number from the front of `line`, and the comma after it. Returns false when the line
/// does not begin with a number and then ends or has a comma and more.
template <typename T>
bool pop_number(std::string_view& line, T& number) {
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error != std::errc()) return false;
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
    if (line.empty() || line.front() != ',') return line.empty();
    line.remove_prefix(1);
    return !line.empty();
}

std::string_view pop_line(std::string_view& text) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
}

}  // namespace

Result<std::vector<StudyRequest>> parse_study_trace(std::string_view csv) {
    constexpr std::string_view kHeader = "arrival_s,prompt_tokens,output_tokens";
    const std::string_view header = pop_line(csv);
    if (header != kHeader) {
        return invalid_argument("trace: line 1 is '{}'; '{}' was expected", header, kHeader);
    }
    std::vector<StudyRequest> requests;
    for (std::size_t number = 2; !csv.empty(); ++number) {
        const std::string_view line = pop_line(csv);
        if (line.empty()) continue;
        std::string_view rest = line;
        StudyRequest request;
        if (!pop_number(rest, request.arrival_s) || !pop_number(rest, request.prompt_tokens) ||
            !pop_number(rest, request.output_tokens) || !rest.empty()) {
            return invalid_argument("trace: line {} is '{}'; three numbers were expected", number,
                                    line);
        }
        requests.push_back(request);
    }
    if (requests.empty()) return invalid_argument("trace: no request follows the header");
    return requests;
}

}  // namespace molink
