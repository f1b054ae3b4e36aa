// Runs studies from the command line. Reads the two files, runs every combination of the given
// policies with every seed and prints one row for each combination. The JSON and CSV files have all
// numbers of every run. The trace is that of the last run.
#include "simulate/study_command.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include <molink/study.h>

#include "simulate/scheduler_file.h"
#include "simulate/study_table.h"

namespace molink::examples {
namespace {

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

/// The path of a trace is relative to the workload file that names it.
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

/// Returns a model by name, or from a file with a shape.
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
    const auto list = [&app](const char* flag, auto& values, const char* what) {
        return app.add_option(flag, values, what)->delimiter(',');
    };
    list("--scheduler", schedulers_, "Study: names, or plug-ins (./mine.so), separated by commas")
        ->capture_default_str();
    list("--transmit", transmits_, "Study: fair, strict, fifo")->capture_default_str();
    list("--split", splits_, "Study: partitioners that replace the cluster's: cost, even");
    list("--membership", memberships_,
         "Study: cluster policies that replace the cluster's: static, seed");
    list("--wire", wires_, "Study: f32, f16, bf16, int8, f16x2")->capture_default_str();
    list("--mbit-per-s", rates_mbit_, "Study: rates that replace those of the cluster's link");
    list("--delay-ms", delays_ms_, "Study: delays that replace those of the cluster's link");
    list("--poisson", poisson_, "Study: requests per second, instead of the workload's");
    app.add_option("--step-tokens", step_tokens_,
                   "Study: maximum number of rows of a micro-batch, instead of the workload's")
        ->check(CLI::Range(1, 8192));
    app.add_option("--seeds", seeds_,
                   "Study: number of workload seeds to run; the table shows means and 95 % "
                   "intervals (Student's t)")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    app.add_option("--json", json_file_, "Study: write all numbers of every run to this file");
    app.add_option("--csv", csv_file_,
                   "Study: write all numbers to this CSV file, one line for each run");
    app.add_option("--trace", trace_file_,
                   "Study: write a timeline for chrome://tracing to this file");
    app.add_option("--trace-limit-s", trace_limit_s_,
                   "Study: length of the trace in virtual seconds")
        ->check(CLI::Range(0.001, 1e6))
        ->capture_default_str();
    app.add_flag("--details", details_, "Study: show every stage and link");
}

Status StudyCommand::read(Study& study) const {
    if (cluster_file_.empty() || workload_file_.empty()) {
        return Status(StatusCode::invalid_argument, "a study needs --cluster and --workload");
    }
    const auto cluster_text = read_text(cluster_file_);
    if (!cluster_text) return cluster_text.error();
    const auto workload_text = read_text(workload_file_);
    if (!workload_text) return workload_text.error();
    auto cluster = parse_study_cluster(*cluster_text);
    if (!cluster) return cluster.error();
    study.cluster = std::move(*cluster);
    auto workload = parse_study_workload(*workload_text);
    if (!workload) return workload.error();
    study.workload = std::move(*workload);
    const Status read = read_trace(workload_file_, study.workload);
    if (!read.ok()) return read;
    if (step_tokens_ > 0) study.cluster.max_step_tokens = step_tokens_;
    study.options.weights = weights_;
    if (!trace_file_.empty()) study.options.trace_limit_s = trace_limit_s_;
    return read_model(model_, study.options);
}

/// Runs every combination of the lists. The last flag varies fastest.
std::vector<Study> StudyCommand::combine(const Study& study, const SchedulerFiles& files) const {
    std::vector<Study> studies{study};
    const auto vary = [&](const auto& values, auto set) {
        if (values.empty()) return;
        std::vector<Study> varied;
        for (const Study& base : studies) {
            for (const auto& value : values) set(varied.emplace_back(base), value);
        }
        studies = std::move(varied);
    };
    vary(rates_mbit_, [](Study& to, double mbit) { to.cluster.link.bytes_per_s = mbit * 125'000; });
    vary(delays_ms_, [](Study& to, double ms) {
        to.cluster.link.delay_us = static_cast<std::int64_t>(ms * 1000);
    });
    vary(poisson_, [](Study& to, double rate) { to.workload.poisson_per_s = rate; });
    vary(splits_, [](Study& to, const std::string& name) { to.cluster.split = name; });
    vary(memberships_, [](Study& to, const std::string& name) { to.cluster.membership = name; });
    vary(schedulers_, [&](Study& to, const std::string& name) {
        const auto file = files.find(name);
        if (file == files.end()) {
            to.options.scheduler = name;
        } else {
            to.policies.scheduler = file->second;
        }
    });
    vary(transmits_, [](Study& to, const std::string& name) { to.options.transmit = name; });
    vary(wires_, [](Study& to, const std::string& name) { to.options.wire = name; });
    return studies;
}

Status StudyCommand::write(const std::vector<StudyReport>& reports) const {
    if (!json_file_.empty()) {
        const Status written = write_text(json_file_, study_json(reports));
        if (!written.ok()) return written;
    }
    if (!csv_file_.empty()) {
        const Status written = write_text(csv_file_, study_csv(reports));
        if (!written.ok()) return written;
    }
    if (trace_file_.empty() || reports.empty()) return {};
    return write_text(trace_file_, study_timeline_json(reports.back()));
}

Result<std::vector<StudyReport>> StudyCommand::repeat(const Study& study) const {
    std::vector<StudyReport> runs;
    for (int i = 0; i < seeds_; ++i) {
        StudyWorkload workload = study.workload;
        workload.seed += static_cast<std::uint64_t>(i);
        auto report = run_study(study.cluster, workload, study.options, study.policies);
        if (!report) return report.error();
        runs.push_back(std::move(*report));
    }
    return runs;
}

int StudyCommand::run() const {
    const auto begin = std::chrono::steady_clock::now();
    Study study;
    const Status read_all = read(study);
    if (!read_all.ok()) return complain(read_all);
    const auto files = load_scheduler_files(schedulers_);
    if (!files) return complain(files.error());
    std::vector<StudyReport> reports;
    print_study_header();
    for (const Study& one : combine(study, *files)) {
        auto runs = repeat(one);
        if (!runs) return complain(runs.error());
        print_study_rows(*runs);
        for (StudyReport& report : *runs) {
            if (details_) print_study_details(report);
            reports.push_back(std::move(report));
        }
    }
    const Status written = write(reports);
    if (!written.ok()) return complain(written);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    fmt::print(stderr, "{} studies in {:.1f} s\n", reports.size(), seconds);
    for (const StudyReport& report : reports) {
        if (report.failure.empty()) continue;
        fmt::print(stderr, "failed ({}, {}, seed {}): {}\n", report.scheduler, report.transmit,
                   report.seed, report.failure);
        return 1;
    }
    return 0;
}

}  // namespace molink::examples
