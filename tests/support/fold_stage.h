#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "stage/stage_executor.h"

namespace molink::test {

inline constexpr std::int32_t kFoldVocabulary = 1000;
inline constexpr std::int32_t kFoldBlockTokens = 16;

/// The tokens a pipeline of fold stages must give, whatever the schedule, the split and the blocks.
std::vector<Token> fold_oracle(const std::vector<Token>& prompt, std::int32_t count,
                               std::int32_t layers);

/// A stage without a model whose right answer is known. It keeps pages: a slot holds the value,
/// position and epoch of one token in one layer; every layer folds all slots up to its own position
/// through the block table. A wrong table, a stale page or a lost part changes the token. Hidden
/// rows are 8 bytes (two f32 of activation_type f32). Works inside submit(); thread: one.
class FoldStage final : public StageExecutor {
public:
    explicit FoldStage(std::function<void()> notify = {}) : notify_(std::move(notify)) {}

    void load(const StageConfig& config) override;
    void start(std::uint64_t kv_blocks) override;
    void submit(Part part, std::int64_t arrival_us) override;
    bool poll(StageEvent& event) override;

    /// Fails the stage with this status at the next submit().
    void fail_next(Status status) { failure_ = std::move(status); }
    /// KV blocks it offers.
    std::uint64_t capacity = 1024;
    std::size_t known_sequences() const { return sequences_.size(); }
    std::uint64_t errors = 0;  ///< slots read that held something else

private:
    struct Slot {
        std::uint64_t value = 0;
        std::int32_t position = -1;
        std::uint32_t epoch = 0;
    };
    struct Known {
        std::vector<Token> prompt;
        std::vector<BlockId> blocks;
        bool hash_logits = false;
    };

    void push(StageEvent event);
    std::uint64_t run_row(const Known& known, std::int32_t position, std::uint64_t hidden);
    Slot& slot(const Known& known, std::int32_t layer, std::int32_t position);

    StageConfig config_;
    std::vector<Slot> slots_;
    std::uint64_t blocks_ = 0;
    std::unordered_map<SequenceId, Known> sequences_;
    std::deque<StageEvent> events_;
    std::function<void()> notify_;
    Status failure_;
};

}  // namespace molink::test
