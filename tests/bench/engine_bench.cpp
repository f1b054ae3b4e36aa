// Measures what the engine itself costs: one step (look up prefixes, view, plan, check, blocks,
// parts) and the retirement of its records, without any computing, for 256 running sequences while
// 0 to 10,000 wait. Prints medians, and the cost with 10,000 waiting relative to 1,000.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "bench_machine.h"
#include "engine/engine_core.h"

namespace {

using namespace molink;

constexpr std::int32_t kRunning = 256;
constexpr std::int32_t kVocabulary = 32'000;
constexpr int kSteps = 2'000;

/// Answers every part with made-up tokens.
class Echo final : public PartSink, public RequestEventSink {
public:
    void launch(PartPlan part) override { parts.push_back(std::move(part)); }
    void on_request_event(RequestEvent event) override { tokens += event.tokens.size(); }

    std::vector<RetiredPart> answers() {
        std::vector<RetiredPart> answers;
        for (const PartPlan& part : parts) {
            RetiredPart retired;
            retired.key = part.key;
            retired.kind = part.kind();
            for (const RowSpan& span : spans_of(part.rows)) {
                if (span.sampled == 0) continue;
                SampledRows sampled;
                sampled.sequence = span.sequence;
                sampled.position = span.end();
                sampled.tokens = {static_cast<Token>(next_++ % kVocabulary)};
                retired.sampled.push_back(std::move(sampled));
            }
            retired.stage_times.resize(2);
            answers.push_back(std::move(retired));
        }
        parts.clear();
        return answers;
    }

    std::vector<PartPlan> parts;
    std::size_t tokens = 0;

private:
    std::uint64_t next_ = 0;
};

AdmittedRequest request_of(std::uint64_t id) {
    AdmittedRequest request;
    request.id = RequestId(id);
    for (int i = 0; i < 512; ++i) {
        request.prompt.push_back(
            static_cast<Token>((id * 7919 + static_cast<unsigned>(i) * 31) % kVocabulary));
    }
    request.max_tokens = 4'000;
    request.ignore_eos = true;
    request.sampling.seed = id;
    return request;
}

struct Cost {
    double step_us = 0;
    double retire_us = 0;
    double worst_us = 0;
};

Cost measure(std::int32_t waiting) {
    Echo echo;
    EngineCoreOptions options;
    options.max_running = kRunning;
    options.max_waiting = waiting + 1;
    options.max_step_tokens = 2'048;
    options.max_slice_tokens = 512;
    options.vocabulary = kVocabulary;
    EngineCore core(options, nullptr, echo, echo, Log());
    core.begin_epoch({PipelineId(0), Epoch(1)}, std::vector<StageView>(2), 300 * 1'000);
    for (std::int32_t i = 0; i < kRunning + waiting; ++i) {
        const Status submitted = core.submit(request_of(static_cast<std::uint64_t>(i) + 1), 0);
        if (!submitted.ok()) std::fprintf(stderr, "%s\n", submitted.message().c_str());
    }
    MetricsSnapshot metrics;
    for (int i = 0; i < 1'000; ++i) {  // until all prompts are prefilled
        core.step(i);
        for (const RetiredPart& part : echo.answers()) (void)core.on_retired(part, i).ok();
    }
    core.fill_metrics(metrics);
    if (metrics.running != kRunning || metrics.waiting != waiting) std::abort();
    std::vector<double> steps;
    std::vector<double> retires;
    const auto now = [] { return std::chrono::steady_clock::now(); };
    const auto us = [](auto span) {
        return std::chrono::duration<double, std::micro>(span).count();
    };
    double worst = 0;
    for (int i = 0; i < kSteps; ++i) {
        const auto begin = now();
        core.step(2'000 + i);
        const auto middle = now();
        const std::vector<RetiredPart> answers = echo.answers();
        const auto again = now();
        for (const RetiredPart& part : answers) (void)core.on_retired(part, 2'000 + i).ok();
        const auto end = now();
        steps.push_back(us(middle - begin));
        retires.push_back(us(end - again));
        worst = std::max(worst, us(middle - begin) + us(end - again));
    }
    return {bench::median(steps), bench::median(retires), worst};
}

}  // namespace

int main() {
    std::printf("%s\n", molink::bench::cpu_model().c_str());
    std::printf(
        "%d running sequences in 2 micro-batches, prompts of 512, %d steps, depth scheduler\n",
        kRunning, kSteps);
    std::printf("%10s %14s %14s %14s %14s\n", "waiting", "step us", "retire us", "sum us",
                "worst us");
    double few = 0;
    for (std::int32_t waiting : {0, 1'000, 10'000}) {
        const Cost cost = measure(waiting);
        const double sum = cost.step_us + cost.retire_us;
        std::printf("%10d %14.1f %14.1f %14.1f %14.1f\n", waiting, cost.step_us, cost.retire_us,
                    sum, cost.worst_us);
        if (waiting == 1'000) few = sum;
        if (waiting == 10'000) std::printf("cost of 10,000 relative to 1,000: %.2f\n", sum / few);
    }
    return 0;
}
