// The simulated stage. A part's rows are computed when its service begins, so that parts in the
// queue see the pages as a real stage would; its event shows when the service is over. Hidden rows
// travel as real bytes: the value, then a pattern made from it, which the next stage checks.
#include "sim/sim_stage.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/canary.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"
#include "sim/fold.h"

namespace molink::sim {
namespace {

PartLoad load_of(const Part& part) {
    PartLoad load;
    for (const SequenceRun& run : part.runs) {
        const std::int64_t count = run.count;
        load.rows += run.count;
        load.sampled += run.sample_count;
        load.attended += count * run.position + count * (count + 1) / 2;
        load.cached += run.position + count;
    }
    return load;
}

float filler(std::uint64_t hidden, std::int32_t column) {
    return static_cast<float>(mix64(hidden + static_cast<std::uint64_t>(column)) >> 44);
}

}  // namespace

void SimStage::push(std::int64_t at_us, StageEvent event) {
    event.epoch = config_.epoch;
    events_.emplace_back(at_us, std::move(event));
}

void SimStage::load(const StageConfig& config) {
    config_ = config;
    table_.reset();
    slots_.clear();
    decode_.clear();
    prefill_.clear();
    events_.clear();
    decodes_in_a_row_ = 0;
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
    push(busy_until_us_, std::move(loaded));
}

/// Layers that have pages here.
LayerRange SimStage::kept_layers() const {
    const std::int32_t begin = config_.layers.begin;
    return options_.study == nullptr ? config_.layers : LayerRange{begin, begin + 1};
}

std::uint64_t SimStage::kv_capacity() const {
    if (options_.study == nullptr) return options_.kv_blocks;
    const PartitionModel& model = options_.study->model;
    const std::int64_t weights = config_.layers.size() * model.layer_bytes +
                                 (config_.has_embedding ? model.embedding_bytes : 0) +
                                 (config_.has_head ? model.head_bytes : 0);
    const std::int64_t rest =
        static_cast<std::int64_t>(config_.memory_bytes) - weights - model.workspace_bytes;
    const std::int64_t blocks = rest / (config_.layers.size() * model.kv_layer_block_bytes);
    return std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(blocks, 0)),
                    config_.max_kv_blocks);
}

void SimStage::start(std::uint64_t kv_blocks) {
    blocks_ = kv_blocks;
    slots_.assign(static_cast<std::size_t>(kept_layers().size()) * kv_blocks *
                      static_cast<std::size_t>(options_.block_tokens),
                  {});
    SequenceTable::Bounds bounds;
    bounds.max_rows = config_.max_rows;
    bounds.max_sequences = config_.max_sequences;
    bounds.max_context = config_.max_context;
    bounds.block_tokens = options_.block_tokens;
    bounds.vocabulary = kFoldVocabulary;
    bounds.kv_blocks = kv_blocks;
    bounds.has_embedding = config_.has_embedding;
    table_ = std::make_unique<SequenceTable>(bounds);
    StageEvent ready;
    ready.kind = StageEventKind::ready;
    push(clock_.now_us(), std::move(ready));
}

void SimStage::submit(Part part, std::int64_t arrival_us) {
    if (part.epoch != config_.epoch && !canary(Canary::stale_epoch)) return;
    auto& queue = part.kind == PartKind::decode ? decode_ : prefill_;
    queue.push_back({std::move(part), arrival_us});
    begin_next();
}

std::int64_t SimStage::service_us(const Part& part) const {
    if (options_.study != nullptr) {
        return static_cast<std::int64_t>(options_.study->profile.part_us(
            part.kind, load_of(part), config_.layers.size(), config_.has_head));
    }
    const double per_row =
        part.kind == PartKind::decode ? options_.decode_us : options_.prefill_row_us;
    return static_cast<std::int64_t>(per_row * part.row_count() * config_.layers.size() *
                                     slowness_);
}

void SimStage::begin_next() {
    while (!decode_.empty() || !prefill_.empty()) {
        const std::int64_t now = clock_.now_us();
        if (busy_until_us_ > now) return;
        const bool prefill_turn =
            !prefill_.empty() &&
            (decode_.empty() || decodes_in_a_row_ >= limits::kDecodesBeforePrefill);
        auto& queue = prefill_turn ? prefill_ : decode_;
        decodes_in_a_row_ = prefill_turn ? 0 : decodes_in_a_row_ + 1;
        Waiting waiting = std::move(queue.front());
        queue.pop_front();
        const std::int64_t service = service_us(waiting.part);
        busy_until_us_ = now + service;
        if (options_.study != nullptr && options_.study->observer) {
            const Part& part = waiting.part;
            options_.study->observer(part.kind, part.row_count(), now, busy_until_us_);
        }
        StageEvent event = run(std::move(waiting), now, service);
        push(busy_until_us_, std::move(event));
    }
}

StageEvent SimStage::run(Waiting waiting, std::int64_t begin_us, std::int64_t service_us) {
    StageEvent event;
    Part& part = waiting.part;
    std::vector<SampledRun> sampled;
    Status done = failure_.ok() ? run_part(part, sampled) : failure_;
    if (!done.ok()) {
        event.kind = StageEventKind::failed;
        event.status = done;
        return event;
    }
    part.stage_times.push_back(
        {static_cast<std::uint32_t>(service_us),
         static_cast<std::uint32_t>(std::max<std::int64_t>(begin_us - waiting.arrival_us, 0))});
    event.kind = StageEventKind::result;
    event.result.part = std::move(part);
    event.result.sampled = std::move(sampled);
    return event;
}

Status SimStage::run_part(Part& part, std::vector<SampledRun>& sampled) {
    if (table_ == nullptr) {
        return make_error(StatusCode::failed_precondition, "part {} for a stage that is not ready",
                          part.id.value);
    }
    MOLINK_RETURN_IF_ERROR(table_->apply(part));
    Bytes output;
    std::size_t row = 0;
    std::vector<float> logits;
    for (const SequenceRun& run : part.runs) {
        StageSequence& sequence = table_->at(run.id);
        const std::int32_t wanted = config_.has_head ? logit_row_count(run, sequence) : 0;
        logits.resize(static_cast<std::size_t>(wanted * kFoldVocabulary));
        for (std::int32_t i = 0; i < run.count; ++i, ++row) {
            const std::int32_t position = run.position + i;
            std::uint64_t hidden = fold_embed(sequence.tokens[static_cast<std::size_t>(position)]);
            if (!config_.has_embedding) MOLINK_RETURN_IF_ERROR(read_row(part, row, hidden));
            hidden = run_row(sequence, position, hidden);
            if (!config_.has_head) write_row(hidden, output);
            const std::int32_t at = i - (run.count - wanted);
            if (at < 0) continue;
            fold_logits(hidden,
                        std::span(logits).subspan(static_cast<std::size_t>(at * kFoldVocabulary),
                                                  static_cast<std::size_t>(kFoldVocabulary)));
        }
        if (wanted > 0) sampled.push_back(sampler_.sample(run, sequence, logits));
    }
    part.activations = std::move(output);
    return {};
}

SimStage::Slot& SimStage::slot(const StageSequence& sequence, std::int32_t layer,
                               std::int32_t position) {
    const std::uint64_t block =
        sequence.blocks[static_cast<std::size_t>(position / options_.block_tokens)];
    const auto first = static_cast<std::uint64_t>(layer - config_.layers.begin) * blocks_ + block;
    return slots_[first * static_cast<std::uint64_t>(options_.block_tokens) +
                  static_cast<std::uint64_t>(position % options_.block_tokens)];
}

std::uint64_t SimStage::run_row(const StageSequence& sequence, std::int32_t position,
                                std::uint64_t hidden) {
    const bool light = options_.study != nullptr;
    const LayerRange layers = kept_layers();
    for (std::int32_t layer = layers.begin; layer < layers.end; ++layer) {
        slot(sequence, layer, position) = {fold_slot(hidden, layer, position), position,
                                           sequence.tokens[static_cast<std::size_t>(position)]};
        const std::int32_t first = light ? std::max(position - 1, 0) : 0;
        for (std::int32_t p = first; p <= position; ++p) {
            hidden = read_slot(sequence, layer, p, hidden);
        }
    }
    return hidden;
}

std::uint64_t SimStage::read_slot(const StageSequence& sequence, std::int32_t layer,
                                  std::int32_t position, std::uint64_t sum) {
    const Slot& read = slot(sequence, layer, position);
    const Token token = sequence.tokens[static_cast<std::size_t>(position)];
    if ((read.position != position || read.token != token) && violation_.empty()) {
        violation_ = fmt::format(
            "a stage read position {} of sequence {} in layer {} and found position {}, token {} "
            "instead of {}",
            position, sequence.open.id.value, layer, read.position, read.token, token);
    }
    return fold_add(sum, read.value, position);
}

Status SimStage::read_row(const Part& part, std::size_t row, std::uint64_t& hidden) const {
    const std::size_t bytes = static_cast<std::size_t>(options_.hidden) * sizeof(float);
    if (part.activations.size() < (row + 1) * bytes) {
        return make_error(StatusCode::data_loss,
                          "part {} brings {} bytes; row {} of {} is not there", part.id.value,
                          part.activations.size(), row, bytes);
    }
    const std::byte* from = part.activations.data() + row * bytes;
    std::memcpy(&hidden, from, sizeof(hidden));
    for (std::int32_t column = 2; column < options_.hidden; ++column) {
        float value = 0;
        std::memcpy(&value, from + static_cast<std::size_t>(column) * sizeof(float), sizeof(float));
        if (value != filler(hidden, column)) {
            return make_error(StatusCode::data_loss, "part {}: row {} is torn at column {}",
                              part.id.value, row, column);
        }
    }
    return {};
}

void SimStage::write_row(std::uint64_t hidden, Bytes& out) const {
    const std::size_t begin = out.size();
    out.resize(begin + static_cast<std::size_t>(options_.hidden) * sizeof(float));
    std::memcpy(out.data() + begin, &hidden, sizeof(hidden));
    for (std::int32_t column = 2; column < options_.hidden; ++column) {
        const float value = filler(hidden, column);
        std::memcpy(out.data() + begin + static_cast<std::size_t>(column) * sizeof(float), &value,
                    sizeof(float));
    }
}

bool SimStage::poll(StageEvent& event) {
    begin_next();
    if (events_.empty() || events_.front().first > clock_.now_us()) return false;
    event = std::move(events_.front().second);
    events_.pop_front();
    begin_next();
    return true;
}

std::int64_t SimStage::next_event_us() const {
    const bool waits = !decode_.empty() || !prefill_.empty();
    std::int64_t next = waits ? busy_until_us_ : std::numeric_limits<std::int64_t>::max();
    if (!events_.empty()) next = std::min(next, events_.front().first);
    return next;
}

}  // namespace molink::sim
