#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <molink/metrics.h>
#include <molink/request.h>
#include <molink/scheduler.h>

#include "base/log.h"
#include "engine/flight.h"
#include "engine/kv_ledger.h"
#include "engine/parts_under_way.h"
#include "engine/planner.h"
#include "engine/request_table.h"
#include "engine/sequence_queues.h"
#include "engine/stage_meter.h"
#include "work/part.h"
#include "work/retired_part.h"

namespace molink {

/// Where the engine puts parts that are to run. Called on the head's loop.
class PartSink {
public:
    virtual ~PartSink() = default;
    virtual void launch(PartPlan plan) = 0;
    /// Bytes launched that have not left yet.
    virtual std::size_t backlog_bytes() const { return 0; }
};

struct EngineCoreOptions {
    std::int32_t max_running = 16;
    std::int32_t max_waiting = 1024;
    std::int32_t max_step_tokens = 512;
    std::int32_t max_slice_tokens = 256;
    std::int32_t block_tokens = 16;
    std::int32_t vocabulary = 0;
    bool prefix_cache = true;
    std::size_t max_in_flight_bytes = ~std::size_t{0};  ///< backlog above which nothing is launched
    std::vector<Token> eos_tokens;
    const Tokenizer* tokenizer = nullptr;  ///< null: events carry tokens without text
    PlanWatch* watch = nullptr;            ///< times the scheduler's calls; null: nobody does
};

/// The engine of one pipeline, without I/O. It leads sequences through the classes that own their
/// parts: RequestTable (requests and ends), SequenceQueues (states), KvLedger (blocks), Planner
/// (policies), Flight (parts under way). It launches parts and turns retirement records into
/// tokens. Thread: the head's loop. Time comes as now_us with every call.
class EngineCore {
public:
    /// The references must outlive it.
    EngineCore(EngineCoreOptions options, std::unique_ptr<Scheduler> scheduler, PartSink& parts,
               RequestEventSink& events, Log log);
    ~EngineCore();

    /// A pipeline serves from now on. `stages` in order. `feeds_back`: as Ring; decode parts are
    /// then planned one step ahead, before the tokens they begin with are known.
    void begin_epoch(PipelineEpoch epoch, std::vector<StageView> stages, std::int64_t kv_blocks,
                     bool feeds_back = false);
    /// Updates what is known of the links, [stages], each behind its stage.
    void set_links(std::span<const LinkModel> links);
    /// The pipeline is gone: every request ends with `reason`.
    void end_epoch(const Status& reason, std::int64_t now_us);
    bool serving() const { return serving_; }

    /// Accepts a request; each of its completions becomes a sequence. Errors: unavailable (no
    /// pipeline), resource_exhausted (queue full), invalid_argument (more blocks than there are).
    /// On error no event follows.
    Status submit(AdmittedRequest request, std::int64_t now_us);
    void cancel(RequestId request, const Status& reason, std::int64_t now_us);
    void cancel_all(const Status& reason, std::int64_t now_us);

    /// A part is done on every stage. Errors: data_loss when the record does not fit what was
    /// launched; the pipeline cannot be trusted any more then.
    Status on_retired(const RetiredPart& retired, std::int64_t now_us);

    /// Plans and launches until the scheduler has nothing more to start.
    void step(std::int64_t now_us);

    std::size_t in_flight_parts() const { return flight_.parts(); }
    /// Predicts how long the parts under way take. Costs time for each of them.
    PartsUnderWay parts_under_way() const;
    /// Parts launched so far.
    std::uint64_t launched_parts() const { return next_part_ - 1; }
    /// Ended sequences some part of which is still under way.
    std::size_t ended_in_flight() const;
    /// Sequences that stages will be told to forget with the next part.
    std::size_t pending_releases() const { return releases_.size(); }
    void fill_metrics(MetricsSnapshot& metrics) const;
    /// Self-check of the block accounts; for tests and idle times.
    Status check() const;

private:
    // engine_core.cpp: the life of sequences
    void finish(Sequence& sequence, FinishReason reason, const Status& status, std::int64_t now_us);
    void preempt(Sequence& sequence);
    void forget_if_idle(Sequence& sequence);
    void release_blocks(Sequence& sequence);
    void make_decodable(Sequence& sequence);

    // engine_launch.cpp: plan -> parts
    SchedulerView make_view(std::int64_t now_us) const;
    bool plan_once(std::int64_t now_us);
    void launch(const StepPlan& plan, std::int64_t now_us);
    void add_decode(const DecodeRun& run, PartPlan& part, LaunchedPart& launched);
    void add_prefill(const PrefillRun& run, PartPlan& part, LaunchedPart& launched);
    void begin_prefill(Sequence& sequence, std::int64_t now_us);
    std::vector<BlockId> begin_rows(Sequence& sequence, std::int32_t count, PartPlan& part);
    void end_rows(Sequence& sequence, LaunchedRows rows, LaunchedPart& launched);
    void launch_part(PartPlan part, LaunchedPart launched);
    void plan_on(LaunchedPart& launched);

    // engine_retire.cpp: records -> tokens
    void retire_rows(const LaunchedRows& rows, const RetiredPart& retired, std::int64_t now_us);
    void publish(Sequence& sequence);
    bool append_tokens(const LaunchedRows& rows, const SampledRows& sampled, std::int64_t now_us);
    void end_at_fault(const LaunchedRows& rows, const SampledRows* sampled, const RowFault& fault,
                      std::int64_t now_us);
    void note_token_known(PartId part, std::int64_t now_us);
    void report(const LaunchedPart& launched, const RetiredPart& retired, std::int64_t now_us);

    EngineCoreOptions options_;
    PartSink& parts_;
    Log log_;
    RequestTable requests_;
    SequenceQueues queues_;
    KvLedger ledger_;
    Planner planner_;
    Flight flight_;
    StageMeter meter_;

    bool serving_ = false;
    bool feeds_back_ = false;
    PipelineEpoch epoch_;
    std::vector<StageView> stages_;
    std::vector<SequenceId> releases_;  // wire ids
    std::uint64_t next_wire_id_ = 1;
    std::uint64_t next_part_ = 1;
    std::uint64_t first_part_ = 1;  // of this epoch
    std::uint64_t next_step_ = 1;

    struct Counters {
        std::uint64_t prompt_tokens = 0;
        std::uint64_t preemptions = 0;
        std::int32_t max_micro_batches_in_flight = 0;  // in this epoch
        Histogram decode_part_rows;
        Histogram prefill_part_rows;
    };
    Counters counters_;
};

}  // namespace molink
