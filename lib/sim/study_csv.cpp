// Writes reports as CSV (RFC 4180), so that a spreadsheet or a script needs no JSON. Each report is
// one line with the columns in the order below. Numbers have as many digits as are needed to tell
// them apart.
#include <algorithm>
#include <functional>
#include <iterator>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <molink/study.h>

namespace molink {
namespace {

/// Builds a line column by column. As a header it holds the names instead of the values.
class CsvLine {
public:
    explicit CsvLine(bool header) : header_(header) {}

    void text(const std::string& name, const std::string& value) {
        const bool plain = value.find_first_of(",\"\r\n") == std::string::npos;
        add(name, plain ? value : quoted(value));
    }
    template <typename T>
    void number(const std::string& name, T value) {
        add(name, fmt::format("{}", value));
    }
    void times(const std::string& name, const TimeQuantiles& times) {
        number(name + "_mean_us", times.mean_us);
        number(name + "_p50_us", times.p50_us);
        number(name + "_p90_us", times.p90_us);
        number(name + "_p99_us", times.p99_us);
        number(name + "_max_us", times.max_us);
    }
    std::string line() const { return fmt::format("{}\n", fmt::join(fields_, ",")); }

private:
    static std::string quoted(const std::string& value) {
        std::string text = "\"";
        for (const char c : value) text += c == '"' ? std::string("\"\"") : std::string(1, c);
        return text + '"';
    }
    void add(const std::string& name, std::string value) {
        fields_.push_back(header_ ? name : std::move(value));
    }

    bool header_;
    std::vector<std::string> fields_;
};

template <typename Use>
double busiest(const std::vector<Use>& uses) {
    double busy = 0;
    for (const Use& use : uses) busy = std::max(busy, use.busy);
    return busy;
}

std::string csv_line(const StudyReport& report, bool header) {
    CsvLine line(header);
    line.text("model", report.model);
    line.text("weights", report.weights);
    line.text("scheduler", report.scheduler);
    line.text("transmit", report.transmit);
    line.text("partitioner", report.partitioner);
    line.text("cluster", report.cluster);
    line.text("wire", report.wire);
    line.number("seed", report.seed);
    line.number("mbit_per_s", report.link.bytes_per_s * 8e-6);
    line.number("delay_ms", static_cast<double>(report.link.delay_us) * 1e-3);
    line.number("poisson_per_s", report.poisson_per_s);
    line.text("failure", report.failure);
    line.number("requests", report.requests);
    line.number("prompt_tokens", report.prompt_tokens);
    line.number("output_tokens", report.output_tokens);
    line.number("seconds", report.seconds);
    line.number("output_tokens_per_s", report.output_tokens_per_s);
    line.times("ttft", report.ttft);
    line.times("tpot", report.tpot);
    line.times("gap", report.gap);
    line.number("stages", report.stages.size());
    line.number("busiest_stage", busiest(report.stages));
    line.number("busiest_link", busiest(report.links));
    line.number("decode_parts_in_flight", report.decode_parts_in_flight);
    line.number("prefill_parts_in_flight", report.prefill_parts_in_flight);
    line.number("max_micro_batches", report.max_micro_batches);
    line.number("preemptions", report.preemptions);
    line.number("plans", report.plans);
    line.number("plans_refused", report.plans_refused);
    line.number("plans_by_fallback", report.plans_by_fallback);
    line.number("kv_blocks", report.kv_blocks);
    line.number("frames", report.frames);
    return line.line();
}

}  // namespace

std::string study_csv(const std::vector<StudyReport>& reports) {
    std::string text = csv_line({}, true);
    for (const StudyReport& report : reports) text += csv_line(report, false);
    return text;
}

}  // namespace molink
