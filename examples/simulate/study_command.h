#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <molink/study.h>

#include "simulate/scheduler_file.h"

namespace molink::examples {

/// One row of the table.
struct Study {
    StudyCluster cluster;
    StudyWorkload workload;
    StudyOptions options;
    SimPolicies policies;
};

/// `molink-simulate --cluster C.json --workload W.json`: flags, runs and the table.
class StudyCommand {
public:
    void add_flags(CLI::App& app);
    bool wanted() const { return !cluster_file_.empty() || !workload_file_.empty(); }
    const std::vector<std::string>& schedulers() const { return schedulers_; }
    /// The exit status: 0, 1 a study failed, 2 wrong flags or input.
    int run() const;

private:
    Status read(Study& study) const;
    std::vector<Study> combine(const Study& study, const SchedulerFiles& files) const;
    /// With every seed.
    Result<std::vector<StudyReport>> repeat(const Study& study) const;
    Status write(const std::vector<StudyReport>& reports) const;

    std::string cluster_file_;
    std::string workload_file_;
    std::string model_ = "llama-2-7b";
    std::string weights_ = "f16";
    std::vector<std::string> schedulers_{"adaptive"};
    std::vector<std::string> transmits_{"fair"};
    std::vector<std::string> wires_{"f16"};
    std::vector<std::string> splits_;
    std::vector<std::string> memberships_;
    std::vector<double> rates_mbit_;
    std::vector<double> delays_ms_;
    std::vector<double> poisson_;
    int step_tokens_ = 0;
    int seeds_ = 1;
    std::string json_file_;
    std::string csv_file_;
    std::string trace_file_;
    double trace_limit_s_ = 10;
    bool details_ = false;
};

}  // namespace molink::examples
