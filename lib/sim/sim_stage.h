#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <molink/partitioner.h>

#include "sim/shared_cores.h"
#include "sim/sim_clock.h"
#include "stage/fold_runner.h"
#include "stage/part_queue.h"
#include "stage/stage_executor.h"
#include "stage/stage_profile.h"

namespace molink::sim {

/// What a stage of a study needs in addition to a stage of a scenario.
struct StudyStage {
    StageProfile profile;                ///< service times instead of decode_us and prefill_row_us
    PartitionModel model;                ///< tells how many KV blocks fit into the stage's memory
    std::shared_ptr<SharedCores> cores;  ///< null: the stage has a core of its own
    /// Called for every part with its kind, its rows and when it is computed. May be empty.
    std::function<void(PartKind, std::int32_t rows, std::int64_t begin_us, std::int64_t end_us)>
        observer;
};

struct SimStageOptions {
    double decode_us = 0;            ///< one row through one layer; 0: no time passes
    double prefill_row_us = 0;       ///< one row through one layer
    std::int64_t load_us = 0;        ///< from load() to the event `loaded`
    std::uint64_t kv_blocks = 1024;  ///< that the stage offers
    std::int32_t block_tokens = 16;
    std::int32_t hidden = 2;  ///< floats of a row on the wire, at least 2
    double overflows = 0;     ///< FoldShape::overflows
    /// Null unless the stage is that of a study; must outlive the stage. Such a stage computes less
    /// (FoldShape::light): one layer stands for all, and a row reads only the position before it.
    const StudyStage* study = nullptr;
};

/// A stage of the fold model in virtual time. A part takes its service time, whatever its
/// arithmetic takes. One part runs at a time, in the order of a real stage. Thread: one.
class SimStage final : public StageExecutor {
public:
    /// `clock` must outlive the stage.
    SimStage(const Clock& clock, const SimStageOptions& options)
        : clock_(clock), options_(options) {}

    void load(const StageConfig& config) override;
    void start(std::uint64_t kv_blocks) override;
    void submit(StageInput input, std::int64_t arrival_us) override;
    void drop() override;
    void unload() override;
    bool poll(StageEvent& event) override;

    /// Returns when to call poll() next, or the largest time when nothing is under way.
    std::int64_t next_event_us() const;
    /// Multiplies the service times from the next part on by `factor`. Not for stages of a study.
    void set_slowness(double factor) { slowness_ = factor; }
    /// Lets the stage load damaged files from the next load() on: it computes something else, and
    /// says which tensors it has loaded, as a real stage does.
    void set_damaged(bool damaged) { damaged_ = damaged; }
    /// Keeps the stage from computing, or lets it go on.
    void set_hanging(bool hanging) { hanging_ = hanging; }
    /// Drops parts that arrive, or takes them again.
    void set_swallowing(bool swallowing) { swallowing_ = swallowing; }
    /// Fails the stage with `status` at the next part.
    void fail_next(Status status) { failure_ = std::move(status); }
    /// Returns a text about the first page that was read and held a wrong value, or an empty one.
    const std::string& violation() const {
        return violation_.empty() && runner_ ? runner_->violation() : violation_;
    }
    /// Of the latest load().
    PipelineEpoch epoch() const { return config_.epoch; }
    std::size_t known_sequences() const { return runner_ ? runner_->known_sequences() : 0; }
    std::uint64_t kv_blocks_offered() const { return options_.kv_blocks; }
    void offer_kv_blocks(std::uint64_t count) { options_.kv_blocks = count; }

private:
    void push(std::int64_t at_us, StageEvent event);
    void begin_next();
    void serve();
    StageEvent finish();
    std::uint64_t kv_capacity() const;
    std::int64_t service_us(const StageInput& input) const;

    const Clock& clock_;
    SimStageOptions options_;
    StageConfig config_;
    std::unique_ptr<FoldRunner> runner_;
    PartQueue parts_;
    std::deque<std::pair<std::int64_t, StageEvent>> events_;  // by time
    PartQueue::Waiting current_;                              // part under way
    std::int64_t begin_us_ = 0;
    std::int64_t rest_us_ = 0;  // of service time that is not reserved yet
    std::int64_t busy_until_us_ = 0;
    double slowness_ = 1;
    bool damaged_ = false;
    bool hanging_ = false;
    bool swallowing_ = false;
    Status failure_;
    std::string violation_;  // the first of earlier epochs
};

}  // namespace molink::sim
