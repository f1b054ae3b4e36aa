#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <molink/clock.h>
#include <molink/status.h>
#include <molink/types.h>

#include "wire/messages.h"

namespace molink {

/// What a stage holds and its bounds; fixed for one epoch.
struct StageConfig {
    Epoch epoch;
    LayerRange layers;
    bool has_embedding = false;
    bool has_head = false;
    bool last_stage = false;                   ///< nothing comes after these layers
    DataType activation_type = DataType::f32;  ///< of what goes to the next stage
    std::int32_t max_rows = 0;                 ///< of one part
    std::int32_t max_sequences = 0;
    std::int32_t max_context = 0;     ///< positions of one sequence
    std::uint64_t memory_bytes = 0;   ///< weights, workspace and KV together
    std::uint64_t max_kv_blocks = 0;  ///< more are of no use

    /// Does `part` meet the LM head here?
    bool samples(const Part& part) const { return has_head && (last_stage || part.returns()); }
    /// Layers that `part` goes through here: none when it comes back for the LM head.
    std::int32_t layers_for(const Part& part) const { return part.returns() ? 0 : layers.size(); }
};

/// A finished part. When it has met the LM head, `sampled` holds what was chosen; else
/// part.activations holds the output rows for the next stage, in StageConfig::activation_type: from
/// the last one back to the LM head on the first those that the head wants, and nothing else that
/// the first stage knows already. stage_times has grown by one, or its first by the head's time.
struct PartResult {
    Part part;
    std::vector<SampledRun> sampled;
};

enum class StageEventKind : std::uint8_t { progress, loaded, ready, result, failed };

/// What a stage tells its node.
struct StageEvent {
    StageEventKind kind = StageEventKind::failed;
    Epoch epoch;
    std::uint64_t done_bytes = 0;         ///< progress
    std::uint64_t total_bytes = 0;        ///< progress
    std::uint64_t weight_bytes = 0;       ///< loaded
    std::uint64_t kv_block_capacity = 0;  ///< loaded
    PartResult result;                    ///< result
    Status status;                        ///< failed: the stage can do nothing more in this epoch
};

/// The compute side of a node: takes parts, gives completions. Real, simulated and timed stages
/// implement it. Calls return at once; what comes of them is fetched with poll().
///
/// Sequences: a part's opens are known from then on, its new blocks are appended to the sequence's
/// table, its releases are forgotten. Decode parts overtake prefill parts, parts that come back for
/// the LM head count as decode parts; parts of one kind keep their order. A part of another epoch
/// is dropped. Thread: all calls from the node's loop.
/// `notify` given at creation is called from any thread when poll() has something; it must not
/// block.
class StageExecutor {
public:
    virtual ~StageExecutor() = default;
    /// Drops what it holds, then loads the layers. -> progress*, loaded | failed
    virtual void load(const StageConfig& config) = 0;
    /// Allocates the KV pages. Only after loaded. -> ready | failed
    virtual void start(std::uint64_t kv_blocks) = 0;
    /// Only after ready. `arrival_us` is the node's clock when the part came. -> result | failed
    virtual void submit(Part part, std::int64_t arrival_us) = 0;
    /// Takes the next event; false when there is none.
    virtual bool poll(StageEvent& event) = 0;
};

}  // namespace molink
