#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include <molink/metrics.h>
#include <molink/request.h>
#include <molink/scheduler.h>

#include "base/log.h"
#include "engine/sequence.h"
#include "engine/stage_meter.h"
#include "engine/view_queue.h"
#include "kv/block_pool.h"
#include "kv/prefix_index.h"
#include "tokenizer/tokenizer.h"
#include "work/part.h"
#include "work/retired_part.h"

namespace molink {

/// Where the engine puts parts that shall run. Called on the head's loop.
class PartSink {
public:
    virtual ~PartSink() = default;
    virtual void launch(PartPlan plan) = 0;
    /// Bytes launched that have not left yet.
    virtual std::size_t backlog_bytes() const { return 0; }
};

/// Where events of requests go. Called on the head's loop; must not call back.
class RequestEventSink {
public:
    virtual ~RequestEventSink() = default;
    virtual void on_request_event(RequestEvent event) = 0;
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
};

/// The head's engine without I/O: owns requests, sequences and block ids; asks the scheduler for
/// plans, checks them, turns them into parts, and turns retirement records into tokens and events.
/// Thread: the head's loop. Time comes as now_us with every call.
class EngineCore {
public:
    /// The references must outlive it.
    EngineCore(EngineCoreOptions options, std::unique_ptr<Scheduler> scheduler, PartSink& parts,
               RequestEventSink& events, Log log);
    ~EngineCore();

    /// A pipeline serves from now on. `stages` in order.
    /// With `direct_feedback` the first stage hears from the last one what was sampled, and decode
    /// parts are planned one step ahead, before the tokens they begin with are known.
    void begin_epoch(PipelineEpoch epoch, std::vector<StageView> stages, std::int64_t kv_blocks,
                     bool direct_feedback = false);
    /// What is known of the links now, [stages], each behind its stage.
    void set_links(std::span<const LinkModel> links);
    /// The pipeline is gone: every request ends with `reason`.
    void end_epoch(const Status& reason, std::int64_t now_us);
    bool serving() const { return serving_; }

    /// Takes a request in; each of its completions is a sequence. Errors: unavailable (no
    /// pipeline), resource_exhausted (queue full, or more blocks than there are). On error no event
    /// follows.
    Status submit(AdmittedRequest request, std::int64_t now_us);
    void cancel(RequestId request, const Status& reason, std::int64_t now_us);
    void cancel_all(const Status& reason, std::int64_t now_us);

    /// A part is done everywhere. Errors: data_loss when the record does not fit what was launched;
    /// the pipeline cannot be trusted any more then.
    Status on_retire(const RetiredPart& retired, std::int64_t now_us);

    /// Plans and launches until the scheduler has nothing more to start.
    void step(std::int64_t now_us);

    std::size_t in_flight_parts() const { return in_flight_.size(); }
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
    struct LaunchedRun {
        Sequence* sequence = nullptr;
        std::int32_t position = 0;
        std::int32_t count = 0;
        std::int32_t sample_count = 0;
    };
    struct LaunchedPart {
        PartId id;
        PartKind kind = PartKind::decode;
        StepId step;
        std::int32_t rows = 0;
        std::int64_t launched_us = 0;
        std::int32_t unknown = 0;  // tokens it begins with that the head does not know yet
        bool planned_on = false;   // decode: policies see its sequences as decodable again
        std::vector<LaunchedRun> runs;
    };

    SchedulerView make_view(std::int64_t now_us) const;
    bool plan_once(std::int64_t now_us);
    bool accept(const SchedulerView& view, StepPlan& plan);
    void launch(const StepPlan& plan, std::int64_t now_us);
    void launch_part(PartPlan part, LaunchedPart launched);
    void plan_on(LaunchedPart& launched);
    void leave_flight(const LaunchedPart& launched);
    void leave_step(StepId step);
    void make_decodable(Sequence& sequence);
    void add_decode(Sequence& sequence, PartPlan& part, LaunchedPart& launched);
    void add_prefill(Sequence& sequence, std::int32_t count, PartPlan& part,
                     LaunchedPart& launched);
    std::vector<BlockId> begin_rows(Sequence& sequence, std::int32_t count, PartPlan& part);
    void note_rows(Sequence& sequence, const RowSpan& span, LaunchedPart& launched);
    void open(Sequence& sequence, PartPlan& part);
    void allocate_block(Sequence& sequence, std::vector<BlockId>& new_blocks);

    // engine_blocks.cpp: who holds which blocks
    void look_up_prefixes();
    void look_up_prefix(Sequence& sequence) const;
    void admit(Sequence& sequence);
    void share_prefix(Sequence& sequence);
    void preempt(Sequence& sequence);
    void publish_blocks(Sequence& sequence, std::int32_t positions);
    void give_back_blocks(Sequence& sequence);
    void refresh_need(Sequence& sequence) const;
    std::int32_t blocks_for(std::int32_t positions) const;

    Status check_retire(const RetiredPart& retired, const LaunchedPart& launched) const;
    Status check_sampled(const RetiredPart& retired, const LaunchedRun& run,
                         const SampledRows& sampled) const;
    Status check_hashes(const RetiredPart& retired, const LaunchedRun& run,
                        const SampledRows& sampled) const;
    void take_input(PartId part, std::int64_t now_us);
    void take_run(const LaunchedRun& run, const SampledRows* sampled, std::int64_t now_us);
    void take_hashes(const LaunchedRun& run, const SampledRows& sampled);
    void take_token(Sequence& sequence, Token token, const TokenLogprobs* logprobs,
                    std::int64_t now_us);
    bool ends_at(const Sequence& sequence, Token token) const;
    void report(const LaunchedPart& launched, const RetiredPart& retired, std::int64_t now_us);

    void finish(Sequence& sequence, FinishReason reason, const Status& status, std::int64_t now_us);
    RequestEvent last_event(Sequence& sequence, FinishReason reason, const Status& status,
                            std::int64_t now_us);
    void count_end(const Sequence& sequence, FinishReason reason, std::int64_t now_us);
    void leave_queues(Sequence& sequence);
    void forget_if_idle(Sequence& sequence);
    Status refuse(Status reason);
    Sequence* find(SequenceId id);

    EngineCoreOptions options_;
    std::unique_ptr<Scheduler> scheduler_;
    std::unique_ptr<Scheduler> fallback_;
    PartSink& parts_;
    RequestEventSink& events_;
    Log log_;

    bool serving_ = false;
    bool direct_feedback_ = false;
    PipelineEpoch epoch_;
    std::vector<StageView> stages_;
    StageMeter meter_;
    BlockPool pool_;
    PrefixIndex prefixes_;
    std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
    std::unordered_map<RequestId, std::vector<SequenceId>> by_request_;  // completions not ended
    ViewQueue<SequenceView> waiting_;
    ViewQueue<SequenceView> prefilling_;
    ViewQueue<SequenceView> decodable_;
    std::unordered_map<PartId, LaunchedPart> in_flight_;
    std::vector<SequenceId> looked_up_;  // waiting ones whose view shows a prefix hit
    std::vector<SequenceId> releases_;
    std::int32_t running_ = 0;
    std::int32_t decoding_in_flight_ = 0;
    std::int32_t decode_parts_in_flight_ = 0;
    std::int32_t prefill_parts_in_flight_ = 0;
    std::int32_t prefill_rows_in_flight_ = 0;
    std::uint64_t next_sequence_ = 1;
    std::uint64_t next_wire_id_ = 1;
    std::uint64_t next_part_ = 1;
    std::uint64_t next_step_ = 1;
    std::unordered_map<StepId, std::int32_t> steps_in_flight_;
    MetricsSnapshot counters_;
};

}  // namespace molink
