// Studies on the command line: reads the two files, runs every combination of the policies asked
// for, and prints one row for each. JSON has all numbers, the trace is that of the last run.
#include "simulate/study_command.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include <molink/study.h>

namespace molink::examples {
namespace {

struct Study {
    StudyCluster cluster;
    StudyWorkload workload;
    StudyOptions options;
};

Result<std::string> read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    if (!file) return Status(StatusCode::not_found, "cannot read '" + path + "'");
    return text.str();
}

Status write_text(const std::string& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (file) return {};
    return Status(StatusCode::unavailable, "cannot write '" + path + "'");
}

std::vector<std::string> names_of(const std::string& list) {
    std::vector<std::string> names;
    std::stringstream stream(list);
    for (std::string name; std::getline(stream, name, ',');) names.push_back(name);
    return names;
}

/// A trace stands beside the workload that names it.
Status read_trace(const std::string& workload_file, StudyWorkload& workload) {
    if (workload.trace_file.empty()) return {};
    const auto path = std::filesystem::path(workload_file).parent_path() / workload.trace_file;
    const auto text = read_text(path.string());
    if (!text) return text.error();
    auto trace = parse_study_trace(*text);
    if (!trace) return trace.error().with_context(path.string());
    workload.trace = std::move(*trace);
    return {};
}

/// A name, or a file with a shape.
Status read_model(const std::string& model, StudyOptions& options) {
    options.model = model;
    if (model.size() < 5 || model.compare(model.size() - 5, 5, ".json") != 0) return {};
    const auto text = read_text(model);
    if (!text) return text.error();
    auto spec = parse_study_model(*text);
    if (!spec) return spec.error();
    options.spec = std::move(*spec);
    return {};
}

void print_header() {
    fmt::print("{:<14}{:<8}{:<7}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>8}{:>8}{:>8}\n",
               "scheduler", "transmit", " wire", "tokens/s", "TTFT p50", "p99 ms", "TPOT p50",
               "p99 ms", "gap p99", "max ms", "virt. s", "stage", "link", "batches");
}

void print_row(const StudyReport& report, const std::string& wire) {
    double stage = 0;
    double link = 0;
    for (const StageUse& use : report.stages) stage = std::max(stage, use.busy);
    for (const LinkUse& use : report.links) link = std::max(link, use.busy);
    const auto ms = [](double us) { return us * 1e-3; };
    fmt::print(
        "{:<14}{:<8} {:<6}{:>9.1f}{:>9.0f}{:>9.0f}{:>9.1f}{:>9.1f}{:>9.1f}{:>9.0f}{:>9.1f}"
        "{:>7.1f}%{:>7.1f}%{:>8}\n",
        report.scheduler, report.transmit, wire, report.output_tokens_per_s, ms(report.ttft.p50_us),
        ms(report.ttft.p99_us), ms(report.tpot.p50_us), ms(report.tpot.p99_us),
        ms(report.gap.p99_us), ms(report.gap.max_us), report.seconds, 100 * stage, 100 * link,
        report.max_micro_batches);
}

void print_details(const StudyReport& report) {
    for (const StageUse& use : report.stages) {
        fmt::print(
            "  stage {:<12} layers {:>3}-{:<3} busy {:>5.1f} %  parts {:>8}  wait {:>9.1f} ms\n",
            use.node, use.layers.begin, use.layers.end - 1, 100 * use.busy, use.parts,
            use.wait_us * 1e-3);
    }
    for (const LinkUse& use : report.links) {
        fmt::print("  link {} > {}: busy {:.1f} %", use.from, use.to, 100 * use.busy);
        for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
            if (use.lane_bytes[lane] == 0) continue;
            fmt::print(", {} {:.1f} MB {:.1f} %", lane_name(static_cast<Lane>(lane)),
                       static_cast<double>(use.lane_bytes[lane]) * 1e-6, 100 * use.lane_busy[lane]);
        }
        fmt::print("\n");
    }
    fmt::print(
        "  parts in flight: decode {:.2f}, prefill {:.2f}; KV blocks {}; preemptions {}; "
        "frames {}\n",
        report.decode_parts_in_flight, report.prefill_parts_in_flight, report.kv_blocks,
        report.preemptions, report.frames);
}

int complain(const Status& status) {
    fmt::print(stderr, "molink-simulate: {}\n", status.message());
    return 2;
}

}  // namespace

void StudyCommand::add_flags(CLI::App& app) {
    app.add_option("--cluster", cluster_file_, "Study: machines and links (JSON)");
    app.add_option("--workload", workload_file_, "Study: arrivals and lengths (JSON)");
    app.add_option("--model", model_, "Study: a built-in name, or a .json file with a shape")
        ->capture_default_str();
    app.add_option("--weights", weights_, "Study: f16 or q4")->capture_default_str();
    app.add_option("--scheduler", schedulers_, "Study: names, separated by commas")
        ->capture_default_str();
    app.add_option("--transmit", transmits_, "Study: names, separated by commas")
        ->capture_default_str();
    app.add_option("--wire", wires_, "Study: f16, f32 or f16x2, separated by commas")
        ->capture_default_str();
    app.add_option("--step-tokens", step_tokens_, "Study: in the place of max_step_tokens")
        ->check(CLI::Range(1, 8192));
    app.add_option("--json", json_file_, "Study: writes all numbers to this file");
    app.add_option("--trace", trace_file_, "Study: writes a timeline for chrome://tracing");
    app.add_option("--trace-limit-s", trace_limit_s_, "Study: its length in virtual seconds")
        ->check(CLI::Range(0.001, 1e6))
        ->capture_default_str();
    app.add_flag("--details", details_, "Study: every stage and link");
}

int StudyCommand::run() const {
    if (cluster_file_.empty() || workload_file_.empty()) {
        return complain(
            Status(StatusCode::invalid_argument, "a study needs --cluster and --workload"));
    }
    const auto begin = std::chrono::steady_clock::now();
    const auto cluster_text = read_text(cluster_file_);
    if (!cluster_text) return complain(cluster_text.error());
    const auto workload_text = read_text(workload_file_);
    if (!workload_text) return complain(workload_text.error());
    auto cluster = parse_study_cluster(*cluster_text);
    if (!cluster) return complain(cluster.error());
    auto workload = parse_study_workload(*workload_text);
    if (!workload) return complain(workload.error());
    StudyOptions options;
    Status read = read_trace(workload_file_, *workload);
    if (read.ok()) read = read_model(model_, options);
    if (!read.ok()) return complain(read);
    if (step_tokens_ > 0) cluster->max_step_tokens = step_tokens_;
    options.weights = weights_;
    if (!trace_file_.empty()) options.trace_limit_s = trace_limit_s_;
    std::vector<StudyReport> reports;
    print_header();
    for (const std::string& scheduler : names_of(schedulers_)) {
        for (const std::string& transmit : names_of(transmits_)) {
            for (const std::string& wire : names_of(wires_)) {
                options.scheduler = scheduler;
                options.transmit = transmit;
                options.wire = wire;
                auto report = run_study(*cluster, *workload, options);
                if (!report) return complain(report.error());
                print_row(*report, wire);
                if (details_) print_details(*report);
                reports.push_back(std::move(*report));
            }
        }
    }
    Status written;
    if (!json_file_.empty()) written = write_text(json_file_, study_json(reports));
    if (written.ok() && !trace_file_.empty() && !reports.empty()) {
        written = write_text(trace_file_, study_timeline_json(reports.back()));
    }
    if (!written.ok()) return complain(written);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    fmt::print(stderr, "{} studies in {:.1f} s\n", reports.size(), seconds);
    for (const StudyReport& report : reports) {
        if (report.failure.empty()) continue;
        fmt::print(stderr, "failed ({}, {}): {}\n", report.scheduler, report.transmit,
                   report.failure);
        return 1;
    }
    return 0;
}

}  // namespace molink::examples
