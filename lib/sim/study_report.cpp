// Writes reports as JSON: numbers for scripts, and bars for chrome://tracing (complete events of
// the trace event format, times in microseconds). Requests overlap, so they are asynchronous
// events, each with its own id.
#include <map>

#include <molink/study.h>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

namespace molink {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson times_json(const TimeQuantiles& times) {
    return {{"count", times.count},   {"mean_us", times.mean_us}, {"p50_us", times.p50_us},
            {"p90_us", times.p90_us}, {"p99_us", times.p99_us},   {"max_us", times.max_us}};
}

OrderedJson link_json(const LinkUse& link) {
    OrderedJson lanes;
    for (std::size_t i = 0; i < kLaneCount; ++i) {
        if (link.lane_bytes[i] == 0) continue;
        lanes[std::string(lane_name(static_cast<Lane>(i)))] = {{"bytes", link.lane_bytes[i]},
                                                               {"busy", link.lane_busy[i]}};
    }
    return {{"from", link.from}, {"to", link.to}, {"busy", link.busy}, {"lanes", lanes}};
}

OrderedJson report_json(const StudyReport& report) {
    OrderedJson stages = OrderedJson::array();
    for (const StageUse& stage : report.stages) {
        stages.push_back({{"node", stage.node},
                          {"layers", {stage.layers.begin, stage.layers.end}},
                          {"busy", stage.busy},
                          {"wait_us", stage.wait_us},
                          {"parts", stage.parts}});
    }
    OrderedJson links = OrderedJson::array();
    for (const LinkUse& link : report.links) links.push_back(link_json(link));
    return {{"model", report.model},
            {"weights", report.weights},
            {"scheduler", report.scheduler},
            {"transmit", report.transmit},
            {"partitioner", report.partitioner},
            {"cluster", report.cluster},
            {"wire", report.wire},
            {"seed", report.seed},
            {"mbit_per_s", report.link.bytes_per_s * 8e-6},
            {"delay_ms", static_cast<double>(report.link.delay_us) * 1e-3},
            {"poisson_per_s", report.poisson_per_s},
            {"failure", report.failure},
            {"requests", report.requests},
            {"prompt_tokens", report.prompt_tokens},
            {"output_tokens", report.output_tokens},
            {"seconds", report.seconds},
            {"output_tokens_per_s", report.output_tokens_per_s},
            {"ttft", times_json(report.ttft)},
            {"tpot", times_json(report.tpot)},
            {"gap", times_json(report.gap)},
            {"stages", stages},
            {"links", links},
            {"decode_parts_in_flight", report.decode_parts_in_flight},
            {"prefill_parts_in_flight", report.prefill_parts_in_flight},
            {"max_micro_batches", report.max_micro_batches},
            {"preemptions", report.preemptions},
            {"plans", report.plans},
            {"plans_refused", report.plans_refused},
            {"plans_by_fallback", report.plans_by_fallback},
            {"kv_blocks", report.kv_blocks},
            {"frames", report.frames},
            {"token_digest", fmt::format("{:016x}", report.token_digest)},
            {"digest", fmt::format("{:016x}", report.digest)}};
}

/// Numbers names from 1 in the order of their first use, and writes a metadata event for each.
/// `process`: the number of the process that has the name, or 0 for the name of a process.
class Names {
public:
    Names(const char* kind, OrderedJson& events) : kind_(kind), events_(events) {}
    std::size_t number(const std::string& name, std::size_t process) {
        const auto [found, added] = numbers_.try_emplace({process, name}, numbers_.size() + 1);
        if (added) {
            const std::size_t self = found->second;
            events_.push_back({{"ph", "M"},
                               {"name", kind_},
                               {"pid", process == 0 ? self : process},
                               {"tid", self},
                               {"args", {{"name", name}}}});
        }
        return found->second;
    }

private:
    const char* kind_;
    OrderedJson& events_;
    std::map<std::pair<std::size_t, std::string>, std::size_t> numbers_;
};

}  // namespace

std::string study_json(const std::vector<StudyReport>& reports) {
    OrderedJson list = OrderedJson::array();
    for (const StudyReport& report : reports) list.push_back(report_json(report));
    return OrderedJson{{"studies", list}}.dump(2) + "\n";
}

std::string study_timeline_json(const StudyReport& report) {
    OrderedJson events = OrderedJson::array();
    Names processes("process_name", events);
    Names rows("thread_name", events);
    for (const TimelineEvent& event : report.timeline) {
        const std::size_t process = processes.number(event.node, 0);
        const std::size_t row = rows.number(event.row, process);
        if (event.row != "requests") {
            events.push_back({{"ph", "X"},
                              {"name", event.name},
                              {"pid", process},
                              {"tid", row},
                              {"ts", event.begin_us},
                              {"dur", event.end_us - event.begin_us}});
            continue;
        }
        // Requests overlap, so each is an asynchronous bar with its own id.
        for (const char* phase : {"b", "e"}) {
            events.push_back({{"ph", phase},
                              {"cat", "request"},
                              {"id", event.name},
                              {"name", event.name},
                              {"pid", process},
                              {"tid", row},
                              {"ts", *phase == 'b' ? event.begin_us : event.end_us}});
        }
    }
    return OrderedJson{{"traceEvents", events}, {"displayTimeUnit", "ms"}}.dump() + "\n";
}

}  // namespace molink
