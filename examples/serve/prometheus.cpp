// Writes counters in Prometheus' text format. Each family is written once with its help text and
// type. Label values are escaped. Histograms are cumulative and end with +Inf.
#include "serve/prometheus.h"

#include <string_view>

#include <fmt/format.h>

namespace molink::examples {
namespace {

std::string escaped(std::string_view value) {
    std::string out;
    for (char c : value) {
        if (c == '\\' || c == '"') out += '\\';
        out += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    return out;
}

class Writer {
public:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        text_ += fmt::format("# HELP molink_{} {}\n# TYPE molink_{} {}\n", name, help, name, type);
    }
    template <typename T>
    void value(T number, const std::string& labels = {}) {
        text_ += fmt::format("molink_{}{} {}\n", name_, labels.empty() ? "" : "{" + labels + "}",
                             number);
    }
    template <typename T>
    void single(std::string_view name, std::string_view type, std::string_view help, T number) {
        family(name, type, help);
        value(number);
    }
    void histogram(std::string_view name, std::string_view help, const Histogram& histogram) {
        family(name, "histogram", help);
        std::uint64_t below = 0;
        for (std::size_t i = 0; i < histogram.bounds.size(); ++i) {
            below += histogram.buckets[i];
            text_ +=
                fmt::format("molink_{}_bucket{{le=\"{}\"}} {}\n", name, histogram.bounds[i], below);
        }
        text_ += fmt::format(
            "molink_{0}_bucket{{le=\"+Inf\"}} {1}\nmolink_{0}_sum {2}\n"
            "molink_{0}_count {1}\n",
            name, histogram.count, histogram.sum);
    }
    std::string release() { return std::move(text_); }

private:
    std::string name_;
    std::string text_;
};

double seconds(std::int64_t us) {
    return static_cast<double>(us) * 1e-6;
}

void write_requests(Writer& out, const MetricsSnapshot& metrics) {
    out.single("requests_submitted_total", "counter", "Requests accepted.",
               metrics.requests_submitted);
    out.single("requests_under_way", "gauge", "Requests accepted that have not ended.",
               metrics.requests_under_way);
    out.family("requests_total", "counter",
               "Requests that ended, by outcome: the worst of their completions.");
    out.value(metrics.requests_finished, "outcome=\"finished\"");
    out.value(metrics.requests_failed, "outcome=\"failed\"");
    out.value(metrics.requests_cancelled, "outcome=\"cancelled\"");
    out.single("requests_refused_total", "counter", "Requests that were not accepted.",
               metrics.requests_refused);
    out.single("completions_submitted_total", "counter", "Completions of the accepted requests.",
               metrics.completions_submitted);
    out.single("completions_under_way", "gauge", "Completions that have not ended.",
               metrics.completions_under_way);
    out.family("completions_total", "counter", "Completions that ended, by outcome.");
    out.value(metrics.completions_finished, "outcome=\"finished\"");
    out.value(metrics.completions_failed, "outcome=\"failed\"");
    out.value(metrics.completions_cancelled, "outcome=\"cancelled\"");
    out.single("prompt_tokens_total", "counter",
               "Prompt tokens computed, including those computed again.", metrics.prompt_tokens);
    out.single("output_tokens_total", "counter", "Tokens generated.", metrics.output_tokens);
    out.single("preemptions_total", "counter",
               "Times that a running sequence gave up its KV blocks.", metrics.preemptions);
    out.single("prefix_query_tokens_total", "counter",
               "Prompt tokens looked up in the prefix cache.", metrics.prefix_query_tokens);
    out.single("prefix_hit_tokens_total", "counter", "Prompt tokens found in the prefix cache.",
               metrics.prefix_hit_tokens);
    out.single("plans_refused_total", "counter", "Plans of the scheduler that were refused.",
               metrics.plans_refused);
    out.single("sequences_running", "gauge", "Sequences that are running.", metrics.running);
    out.single("sequences_waiting", "gauge", "Sequences that are waiting.", metrics.waiting);
    out.single("epoch", "gauge", "Current epoch of the pipeline.", metrics.epoch);
    out.single("kv_blocks", "gauge", "KV blocks of the pipeline.", metrics.kv_blocks_total);
    out.single("kv_blocks_free", "gauge",
               "KV blocks that are neither held nor reserved, including cached ones.",
               metrics.kv_blocks_free);
    out.single("kv_blocks_cached", "gauge", "KV blocks that only the prefix cache keeps.",
               metrics.kv_blocks_cached);
    out.histogram("time_to_first_token_seconds", "Time from submission to the first token.",
                  metrics.time_to_first_token_s);
    out.histogram("time_per_output_token_seconds",
                  "Mean time per token of a completion, without its first token.",
                  metrics.time_per_output_token_s);
    out.histogram("queue_seconds", "Time from submission to the first part.", metrics.queue_s);
    out.histogram("request_seconds", "Time from submission to the end of the completion.",
                  metrics.request_s);
    out.histogram("decode_part_rows", "Rows of a decode part.", metrics.decode_part_rows);
    out.histogram("prefill_part_rows", "Rows of a prefill part.", metrics.prefill_part_rows);
}

void write_stages(Writer& out, const MetricsSnapshot& metrics) {
    const auto each = [&](const char* name, const char* help, auto get) {
        out.family(name, "counter", help);
        for (std::size_t i = 0; i < metrics.stages.size(); ++i) {
            const StageMetrics& stage = metrics.stages[i];
            out.value(get(stage), fmt::format("stage=\"{}\",node=\"{}\"", i, escaped(stage.node)));
        }
    };
    each("stage_parts_total", "Parts that a stage computed.",
         [](const auto& s) { return s.parts; });
    each("stage_rows_total", "Rows that a stage computed.", [](const auto& s) { return s.rows; });
    each("stage_compute_seconds_total", "Time that a stage spent computing.",
         [](const auto& s) { return seconds(s.compute_us); });
    each("stage_wait_seconds_total", "Time that parts waited at a stage.",
         [](const auto& s) { return seconds(s.wait_us); });
}

void write_links(Writer& out, const MetricsSnapshot& metrics) {
    const auto each = [&](const char* name, const char* type, const char* help, auto get) {
        out.family(name, type, help);
        for (const LinkMetrics& link : metrics.links) {
            out.value(get(link), fmt::format("node=\"{}\",peer=\"{}\"", escaped(link.node),
                                             escaped(link.peer)));
        }
    };
    each("link_sent_bytes_total", "counter", "Bytes sent, headers included.",
         [](const auto& l) { return l.sent_bytes; });
    each("link_received_bytes_total", "counter", "Bytes received, headers included.",
         [](const auto& l) { return l.received_bytes; });
    each("link_resent_bytes_total", "counter", "Bytes that were sent again.",
         [](const auto& l) { return l.resent_bytes; });
    each("link_round_trip_seconds", "gauge", "Smoothed round-trip time.",
         [](const auto& l) { return seconds(l.round_trip_us); });
    each("link_bytes_per_second", "gauge", "Measured delivery rate; 0 if it is not known yet.",
         [](const auto& l) { return l.model.bytes_per_s; });
    each("link_delay_seconds", "gauge", "Measured one-way delay.",
         [](const auto& l) { return seconds(l.model.delay_us); });
    const auto lanes = [&](const char* name, const char* help, auto get) {
        out.family(name, "counter", help);
        for (const LinkMetrics& link : metrics.links) {
            for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
                out.value(get(link, lane),
                          fmt::format("node=\"{}\",peer=\"{}\",lane=\"{}\"", escaped(link.node),
                                      escaped(link.peer), lane_name(static_cast<Lane>(lane))));
            }
        }
    };
    lanes("link_lane_sent_bytes_total", "Payload bytes sent, by lane.",
          [](const auto& l, std::size_t lane) { return l.lane_sent_bytes[lane]; });
    lanes("link_lane_received_bytes_total", "Payload bytes received, by lane.",
          [](const auto& l, std::size_t lane) { return l.lane_received_bytes[lane]; });
    lanes("link_lane_sent_messages_total", "Messages sent, by lane.",
          [](const auto& l, std::size_t lane) { return l.lane_sent_messages[lane]; });
    lanes("link_lane_queue_seconds_total",
          "Sum over messages of the time from submission to the last frame, by lane.",
          [](const auto& l, std::size_t lane) { return seconds(l.lane_queue_us[lane]); });
}

}  // namespace

std::string prometheus_text(const MetricsSnapshot& metrics, const HttpCounts& http) {
    Writer out;
    write_requests(out, metrics);
    write_stages(out, metrics);
    write_links(out, metrics);
    out.family("http_responses_total", "counter", "HTTP responses, by route and status.");
    for (const auto& [key, count] : http) {
        out.value(count, fmt::format("route=\"{}\",status=\"{}\"", escaped(key.first), key.second));
    }
    return out.release();
}

}  // namespace molink::examples
