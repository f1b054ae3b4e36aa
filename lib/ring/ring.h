#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <molink/link.h>
#include <molink/security.h>
#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// The node id of the head's first device. It stands for the head itself where links are measured.
inline constexpr NodeId kHeadNode{0};

/// The topology of a pipeline: the role of each stage, and what each link carries. Stages count
/// from 0. Parts start at stage 0 and go through all stages in order. The stage with the LM head
/// samples and retires them. It is the last stage, or stage 0 when rows return to it from the last
/// one. All code that depends on the topology asks this value.
class RingShape {
public:
    RingShape() = default;
    /// `lm_head_first`: the LM head is on stage 0. `feeds_back`: stage 0 receives sampled tokens
    /// directly, so that the head may launch decode parts before it knows their tokens.
    RingShape(std::size_t stages, bool lm_head_first, bool feeds_back)
        : size_(stages), lm_head_first_(lm_head_first || stages == 1), feeds_back_(feeds_back) {}

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    /// This and all functions below require a ring that is not empty.
    std::size_t last_stage() const {
        assert(!empty());
        return size_ - 1;
    }
    std::size_t lm_head_stage() const { return lm_head_first_ ? 0 : last_stage(); }
    bool is_last(std::size_t stage) const { return stage == last_stage(); }
    bool has_embedding(std::size_t stage) const { return stage == 0; }
    bool has_lm_head(std::size_t stage) const { return stage == lm_head_stage(); }
    /// Returns whether parts return from the last stage to the LM head on stage 0.
    bool returns() const { return lm_head_first_ && size_ > 1; }
    bool feeds_back() const { return feeds_back_; }

    /// Returns the stage that `stage` sends to, for any cargo, or nothing if it sends only to the
    /// head.
    std::optional<std::size_t> next(std::size_t stage) const;
    /// Returns the stage that sends to `stage`, or nothing if only the head does.
    std::optional<std::size_t> previous(std::size_t stage) const;
    /// Returns the cargo of the link from `stage` to next(stage) or, without one, to the head.
    LinkCargo cargo(std::size_t stage) const;

    friend bool operator==(const RingShape&, const RingShape&) = default;

private:
    std::size_t size_ = 0;
    bool lm_head_first_ = false;
    bool feeds_back_ = false;
};

/// One stage of a ring.
struct RingStage {
    NodeId node;
    std::string address;  ///< the stage before it dials this; empty for a stage of the head
    LayerRange layers;
    std::optional<PublicKey> key;  ///< of its process; none in a cluster without keys

    bool on_head() const { return address.empty(); }
    friend bool operator==(const RingStage&, const RingStage&) = default;
};

/// A pipeline's shape with the node and the layers of each stage. The head builds it once per epoch
/// from the plan. It travels to every stage in the assignment.
class Ring {
public:
    Ring() = default;
    /// Errors: invalid_argument when there is no stage, a stage has no layers, layers are not
    /// contiguous from 0, or a node occurs twice.
    static Result<Ring> make(std::vector<RingStage> stages, bool lm_head_first, bool feeds_back);

    const RingShape& shape() const { return shape_; }
    std::span<const RingStage> stages() const { return stages_; }
    const RingStage& stage(std::size_t index) const { return stages_[index]; }
    bool empty() const { return stages_.empty(); }
    std::size_t size() const { return stages_.size(); }

    /// Returns the stage of `node`, or nothing if it has none.
    std::optional<std::size_t> find(NodeId node) const;
    /// Returns the node that samples and retires parts.
    NodeId lm_head_node() const { return stages_[shape_.lm_head_stage()].node; }
    /// Returns the stage that stage `index` sends to, or null if it sends only to the head.
    const RingStage* next(std::size_t index) const;

    friend bool operator==(const Ring&, const Ring&) = default;

private:
    std::vector<RingStage> stages_;
    RingShape shape_;
};

}  // namespace molink
