// See fold_stage.h. The fold is chosen so that every slot read matters and order matters.
#include "support/fold_stage.h"

#include <cstring>

#include "base/random.h"

namespace molink::test {
namespace {

std::uint64_t embed(Token token) {
    return mix64(static_cast<std::uint64_t>(token) + 1);
}

std::uint64_t slot_value(std::uint64_t hidden, std::int32_t layer, std::int32_t position) {
    return mix64(hidden ^ mix64(static_cast<std::uint64_t>(layer) * 1000003u +
                                static_cast<std::uint64_t>(position)));
}

std::uint64_t fold(std::uint64_t sum, std::uint64_t value) {
    return mix64(sum * 31 + value);
}

Token to_token(std::uint64_t hidden) {
    return static_cast<Token>(hidden % kFoldVocabulary);
}

}  // namespace

std::vector<Token> fold_oracle(const std::vector<Token>& prompt, std::int32_t count,
                               std::int32_t layers) {
    std::vector<std::vector<std::uint64_t>> kept(static_cast<std::size_t>(layers));
    std::vector<Token> tokens = prompt;
    std::vector<Token> output;
    for (std::size_t p = 0; static_cast<std::int32_t>(output.size()) < count; ++p) {
        std::uint64_t hidden = embed(tokens[p]);
        for (std::int32_t layer = 0; layer < layers; ++layer) {
            auto& values = kept[static_cast<std::size_t>(layer)];
            values.push_back(slot_value(hidden, layer, static_cast<std::int32_t>(p)));
            std::uint64_t sum = hidden;
            for (std::uint64_t value : values) sum = fold(sum, value);
            hidden = sum;
        }
        if (p + 1 < prompt.size()) continue;
        output.push_back(to_token(hidden));
        tokens.push_back(output.back());
    }
    return output;
}

void FoldStage::push(StageEvent event) {
    event.epoch = config_.epoch;
    events_.push_back(std::move(event));
    if (notify_) notify_();
}

void FoldStage::load(const StageConfig& config) {
    config_ = config;
    sequences_.clear();
    events_.clear();
    StageEvent progress;
    progress.kind = StageEventKind::progress;
    progress.done_bytes = 50;
    progress.total_bytes = 100;
    push(std::move(progress));
    StageEvent loaded;
    loaded.kind = StageEventKind::loaded;
    loaded.weight_bytes = 100;
    loaded.kv_block_capacity = capacity;
    push(std::move(loaded));
}

void FoldStage::start(std::uint64_t kv_blocks) {
    blocks_ = kv_blocks;
    slots_.assign(static_cast<std::size_t>(config_.layers.size()) * kv_blocks * kFoldBlockTokens,
                  {});
    StageEvent ready;
    ready.kind = StageEventKind::ready;
    push(std::move(ready));
}

FoldStage::Slot& FoldStage::slot(const Known& known, std::int32_t layer, std::int32_t position) {
    const std::uint64_t block =
        known.blocks[static_cast<std::size_t>(position / kFoldBlockTokens)].value;
    const auto index =
        (static_cast<std::uint64_t>(layer - config_.layers.begin) * blocks_ + block) *
            kFoldBlockTokens +
        static_cast<std::uint64_t>(position % kFoldBlockTokens);
    return slots_[index];
}

std::uint64_t FoldStage::run_row(const Known& known, std::int32_t position, std::uint64_t hidden) {
    for (std::int32_t layer = config_.layers.begin; layer < config_.layers.end; ++layer) {
        slot(known, layer, position) = {slot_value(hidden, layer, position), position,
                                        config_.epoch.value};
        std::uint64_t sum = hidden;
        for (std::int32_t p = 0; p <= position; ++p) {
            const Slot& read = slot(known, layer, p);
            if (read.position != p || read.epoch != config_.epoch.value) ++errors;
            sum = fold(sum, read.value);
        }
        hidden = sum;
    }
    return hidden;
}

void FoldStage::submit(Part part, std::int64_t) {
    if (part.epoch != config_.epoch) return;
    if (!failure_.ok()) {
        StageEvent failed;
        failed.status = failure_;
        push(std::move(failed));
        return;
    }
    for (SequenceId id : part.releases) sequences_.erase(id);
    for (const SequenceOpen& open : part.opens) {
        sequences_[open.id] = {open.prompt, {}, open.hash_logits};
    }
    StageEvent event;
    event.kind = StageEventKind::result;
    Bytes output;
    std::size_t row = 0;
    for (const SequenceRun& run : part.runs) {
        Known& known = sequences_.at(run.id);
        known.blocks.insert(known.blocks.end(), run.new_blocks.begin(), run.new_blocks.end());
        SampledRun sampled;
        sampled.id = run.id;
        sampled.position = run.position + run.count - run.sample_count + 1;
        for (std::int32_t i = 0; i < run.count; ++i, ++row) {
            std::uint64_t hidden = 0;
            if (config_.has_embedding) {
                const auto at = static_cast<std::size_t>(run.position + i);
                hidden = embed(run.tokens.empty() ? known.prompt.at(at)
                                                  : run.tokens.at(static_cast<std::size_t>(i)));
            } else {
                std::memcpy(&hidden, part.activations.data() + row * 8, 8);
            }
            hidden = run_row(known, run.position + i, hidden);
            const std::size_t old = output.size();
            output.resize(old + 8);
            std::memcpy(output.data() + old, &hidden, 8);
            if (known.hash_logits) sampled.logit_hashes.push_back(hidden);
            if (i >= run.count - run.sample_count) sampled.tokens.push_back(to_token(hidden));
        }
        if (config_.has_head && (run.sample_count > 0 || known.hash_logits)) {
            event.result.sampled.push_back(std::move(sampled));
        }
    }
    part.stage_times.push_back({10, 0});
    part.activations = config_.has_head ? Bytes() : std::move(output);
    event.result.part = std::move(part);
    push(std::move(event));
}

bool FoldStage::poll(StageEvent& event) {
    if (events_.empty()) return false;
    event = std::move(events_.front());
    events_.pop_front();
    return true;
}

}  // namespace molink::test
