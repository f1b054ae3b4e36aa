// The simulated stage: one part at a time, in virtual time. The rows of a part are computed before
// the next part begins, so that every part sees the pages that it would see in a real stage. The
// event of a part appears when its service ends.
#include "sim/sim_stage.h"

#include <algorithm>
#include <limits>

#include "base/canary.h"
#include "base/error.h"
#include "kv/capacity.h"
#include "sim/sim_tensors.h"
#include "stage/stage_output.h"

namespace molink::sim {
namespace {

std::vector<RowSpan> spans_in(const StageInput& input) {
    if (const auto* plan = std::get_if<PartPlan>(&input)) return spans_of(plan->rows);
    if (const auto* forwarded = std::get_if<ForwardedPart>(&input)) {
        return spans_of(forwarded->plan.rows);
    }
    return std::get<ReturnedPart>(input).spans;
}

PartLoad load_of(const StageInput& input) {
    PartLoad load;
    for (const RowSpan& span : spans_in(input)) {
        load.runs.push_back({span.position, span.count});
        load.sampled += span.sampled;
    }
    return load;
}

}  // namespace

void SimStage::push(std::int64_t at_us, StageEvent event) {
    event.epoch = config_.epoch;
    events_.emplace_back(at_us, std::move(event));
}

void SimStage::drop() {
    parts_.clear();
    events_.clear();
    rest_us_ = 0;
}

void SimStage::unload() {
    drop();
    if (violation_.empty() && runner_) violation_ = runner_->violation();
    runner_.reset();
    config_ = {};
}

void SimStage::load(const StageConfig& config) {
    unload();
    config_ = config;
    const FoldShape shape{options_.block_tokens, options_.hidden, options_.study != nullptr,
                          options_.overflows, damaged_};
    runner_ = std::make_unique<FoldRunner>(shape, config);
    const std::int64_t now = clock_.now_us();
    busy_until_us_ = now + options_.load_us;
    StageEvent progress;
    progress.kind = StageEventKind::progress;
    progress.done_bytes = 50;
    progress.total_bytes = 100;
    push(now + options_.load_us / 2, std::move(progress));
    StageEvent loaded;
    loaded.kind = StageEventKind::loaded;
    loaded.weight_bytes = 100;
    loaded.kv_block_capacity = kv_capacity();
    loaded.tensors = fold_tensors(config_.layers, damaged_);
    push(busy_until_us_, std::move(loaded));
}

std::uint64_t SimStage::kv_capacity() const {
    if (options_.study == nullptr) return options_.kv_blocks;
    StageMemory memory = stage_memory(options_.study->model, config_.layers,
                                      config_.has_embedding(), config_.has_lm_head());
    memory.memory_bytes = static_cast<std::int64_t>(config_.memory_bytes);
    memory.sequences = config_.max_sequences;
    memory.max_blocks = static_cast<std::int64_t>(config_.max_kv_blocks);
    return static_cast<std::uint64_t>(std::max<std::int64_t>(molink::kv_capacity(memory), 0));
}

void SimStage::start(std::uint64_t kv_blocks) {
    runner_->start(kv_blocks);
    StageEvent ready;
    ready.kind = StageEventKind::ready;
    push(clock_.now_us(), std::move(ready));
}

void SimStage::submit(StageInput input, std::int64_t arrival_us) {
    if (key_of(input).epoch != config_.epoch && !canary(Canary::stale_epoch)) return;
    if (swallowing_) return;
    parts_.push(std::move(input), arrival_us);
    begin_next();
}

std::int64_t SimStage::service_us(const StageInput& input) const {
    const PartKind kind = kind_of(input);
    if (options_.study != nullptr) {
        const LayerRange range = is_returned(input) ? LayerRange() : config_.layers;
        return static_cast<std::int64_t>(
            options_.study->profile.part_us(kind, load_of(input), range, config_.samples(input)));
    }
    const double per_row = kind == PartKind::decode ? options_.decode_us : options_.prefill_row_us;
    return static_cast<std::int64_t>(per_row * row_count(input) * config_.layers_for(input) *
                                     slowness_);
}

void SimStage::begin_next() {
    if (hanging_) return;
    while (rest_us_ > 0 || !parts_.empty()) {
        const std::int64_t now = clock_.now_us();
        if (busy_until_us_ > now) return;
        if (rest_us_ > 0) {
            serve();
            continue;
        }
        current_ = *parts_.pop();
        begin_us_ = now;
        rest_us_ = service_us(current_.input);
        serve();
    }
}

/// Reserves the rest of the service of the part under way, or a slice of it where cores are shared.
/// After the last slice it computes the part and queues its event. Waiting for a core counts as
/// computing, as it does in the times that a real stage measures.
void SimStage::serve() {
    SharedCores* cores = options_.study != nullptr ? options_.study->cores.get() : nullptr;
    const std::int64_t now = clock_.now_us();
    const std::int64_t slice =
        cores != nullptr ? std::min(rest_us_, SharedCores::kSliceUs) : rest_us_;
    busy_until_us_ = cores != nullptr ? cores->compute(now, slice) : now + slice;
    rest_us_ -= slice;
    if (rest_us_ > 0) return;
    if (options_.study != nullptr && options_.study->observer) {
        options_.study->observer(kind_of(current_.input), row_count(current_.input), begin_us_,
                                 busy_until_us_);
    }
    StageEvent event = finish();
    push(cores != nullptr ? cores->hand_on(busy_until_us_) : busy_until_us_, std::move(event));
}

StageEvent SimStage::finish() {
    StageEvent event;
    Result<StageOutput> result = failure_;
    const bool returned = is_returned(current_.input);
    if (failure_.ok()) result = runner_->run(std::move(current_.input));
    if (!result) {
        event.kind = StageEventKind::failed;
        event.status = result.error();
        return event;
    }
    const std::int64_t wait_us = std::max<std::int64_t>(begin_us_ - current_.arrival_us, 0);
    add_stage_time(*result, returned,
                   {static_cast<std::uint32_t>(busy_until_us_ - begin_us_),
                    static_cast<std::uint32_t>(wait_us)});
    event.kind = StageEventKind::result;
    event.result = std::move(*result);
    return event;
}

bool SimStage::poll(StageEvent& event) {
    if (hanging_) return false;
    begin_next();
    if (events_.empty() || events_.front().first > clock_.now_us()) return false;
    event = std::move(events_.front().second);
    events_.pop_front();
    begin_next();
    return true;
}

std::int64_t SimStage::next_event_us() const {
    if (hanging_) return std::numeric_limits<std::int64_t>::max();
    const bool waits = rest_us_ > 0 || !parts_.empty();
    std::int64_t next = waits ? busy_until_us_ : std::numeric_limits<std::int64_t>::max();
    if (!events_.empty()) next = std::min(next, events_.front().first);
    return next;
}

}  // namespace molink::sim
