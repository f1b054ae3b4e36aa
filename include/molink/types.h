#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include <molink/export.h>

namespace molink {

/// An integer id that does not convert to another kind of id. Zero is a valid value.
template <typename Tag, typename Rep>
struct Id {
    using rep = Rep;
    Rep value = 0;
    constexpr Id() = default;
    constexpr explicit Id(Rep v) : value(v) {}
    friend constexpr auto operator<=>(Id, Id) = default;
};

using RequestId = Id<struct RequestTag, std::uint64_t>;  ///< given by Engine::submit, never reused
using SequenceId = Id<struct SequenceTag, std::uint64_t>;  ///< never reused
using BlockId = Id<struct BlockTag, std::uint32_t>;  ///< page of KV cache, same on every stage
using NodeId = Id<struct NodeTag, std::uint32_t>;    ///< given by the head at join; 0 is the head
using PipelineId = Id<struct PipelineTag, std::uint16_t>;  ///< per head; the first is 0
using Epoch = Id<struct EpochTag, std::uint32_t>;          ///< generation of a pipeline, from 1
using StepId = Id<struct StepTag, std::uint64_t>;  ///< number of a micro-batch within an epoch
using PartId = Id<struct PartTag, std::uint64_t>;  ///< number of a part within an epoch
using ConnectionId = Id<struct ConnectionTag, std::uint64_t>;  ///< connection of a transport

/// A token of the model's vocabulary, >= 0.
using Token = std::int32_t;

/// Layers [begin, end) of a model.
struct LayerRange {
    std::int32_t begin = 0;
    std::int32_t end = 0;
    constexpr std::int32_t size() const { return end - begin; }
    constexpr bool empty() const { return end <= begin; }
    friend constexpr bool operator==(LayerRange, LayerRange) = default;
};

/// Storage type of numbers. Values cross the wire. int8 is only for activations on links; 64 values
/// of a row share one scale.
enum class DataType : std::uint8_t { f32 = 0, f16 = 1, bf16 = 2, q8_0 = 3, i32 = 4, int8 = 5 };

/// Returns the name of a type, such as "f32". Static storage.
MOLINK_EXPORT std::string_view data_type_name(DataType type);

/// How a stage holds the matrices of its layers.
enum class WeightFormat : std::int32_t {
    native = 0,  ///< as stored in the checkpoint: f32, f16 or bf16
    q8_0 = 1,    ///< quantised to 8 bits while loading
};

/// Kind of a part. It also determines the lane.
enum class PartKind : std::uint8_t { decode = 0, prefill = 1 };

/// Priority class of a message, most urgent first. Values cross the wire.
enum class Lane : std::uint8_t { control = 0, token = 1, decode = 2, prefill = 3, bulk = 4 };
inline constexpr std::size_t kLaneCount = 5;

/// Returns the name of a lane, such as "control". Static storage.
MOLINK_EXPORT std::string_view lane_name(Lane lane);

}  // namespace molink

template <typename Tag, typename Rep>
struct std::hash<molink::Id<Tag, Rep>> {
    std::size_t operator()(molink::Id<Tag, Rep> id) const noexcept {
        return std::hash<Rep>{}(id.value);
    }
};
