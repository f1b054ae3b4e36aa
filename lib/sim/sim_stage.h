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

/// What a stage of a study has that one of a scenario has not.
struct StudyStage {
    StageProfile profile;  ///< service times in the place of decode_us and prefill_row_us
    PartitionModel model;  ///< says how many blocks fit into the memory it is given
    std::shared_ptr<SharedCores> cores;  ///< null: one of its own
    /// Told of every part: its kind, its rows and when it is computed.
    std::function<void(PartKind, std::int32_t rows, std::int64_t begin_us, std::int64_t end_us)>
        observer;
};

struct SimStageOptions {
    double decode_us = 0;       ///< one row, one layer; all zero: parts are done at once
    double prefill_row_us = 0;  ///< one row, one layer
    std::int64_t load_us = 0;
    std::uint64_t kv_blocks = 1024;  ///< it offers
    std::int32_t block_tokens = 16;
    std::int32_t hidden = 2;  ///< floats of a row on the wire, at least 2
    /// Makes the stage light too: one layer stands for all of them, and a row reads no more than
    /// the position before it.
    const StudyStage* study = nullptr;
};

/// A stage of the fold model in virtual time: service times instead of arithmetic. One part at a
/// time, in the order of a real stage. Thread: one.
class SimStage final : public StageExecutor {
public:
    /// `clock` must outlive it.
    SimStage(const Clock& clock, const SimStageOptions& options)
        : clock_(clock), options_(options) {}

    void load(const StageConfig& config) override;
    void start(std::uint64_t kv_blocks) override;
    void submit(StageInput input, std::int64_t arrival_us) override;
    bool poll(StageEvent& event) override;

    /// When poll() has something next, at the latest; far away when nothing is under way.
    std::int64_t next_event_us() const;
    /// Service times are multiplied by it from the next part on.
    void set_slowness(double factor) { slowness_ = factor; }
    /// Fails the stage with this status at the next part.
    void fail_next(Status status) { failure_ = std::move(status); }
    /// Empty, or the first page that was read and held something else.
    const std::string& violation() const {
        return violation_.empty() && runner_ ? runner_->violation() : violation_;
    }
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
    std::int64_t rest_us_ = 0;  // of its service, not reserved yet
    std::int64_t busy_until_us_ = 0;
    double slowness_ = 1;
    Status failure_;
    std::string violation_;  // of epochs before
};

}  // namespace molink::sim
