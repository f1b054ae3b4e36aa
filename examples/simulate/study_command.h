#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace molink::examples {

/// `molink-simulate --cluster C.json --workload W.json`: flags, runs and the table.
class StudyCommand {
public:
    void add_flags(CLI::App& app);
    bool wanted() const { return !cluster_file_.empty() || !workload_file_.empty(); }
    /// The exit status: 0, 1 a study failed, 2 wrong flags or input.
    int run() const;

private:
    std::string cluster_file_;
    std::string workload_file_;
    std::string model_ = "llama-2-7b";
    std::string weights_ = "f16";
    std::string schedulers_ = "depth";
    std::string transmits_ = "fair";
    std::string wires_ = "f16";
    int step_tokens_ = 0;
    std::string json_file_;
    std::string trace_file_;
    double trace_limit_s_ = 10;
    bool details_ = false;
};

}  // namespace molink::examples
