#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <flatbuffers/flatbuffers.h>

#include "base/error.h"
#include "base/limits.h"
#include "wire/messages.h"

// Inner face of the message codec: what the files messages*.cpp share. Not for use outside
// lib/wire.

// The alternatives of molink::Message in its order, which is the order of the schema's union. Each
// has a function write() and a function read() in messages_join.cpp or messages_work.cpp.
#define MOLINK_WIRE_MESSAGES(X)                                                               \
    X(Hello)                                                                                  \
    X(Welcome) X(Refuse) X(Assign) X(LoadProgress) X(StageLoaded) X(StageStart) X(StageReady) \
        X(PeerHello) X(StageFailed) X(Heartbeat) X(ProbeLink) X(ProbeHello) X(LinkProbe)      \
            X(PartPlan) X(ForwardedPart) X(ReturnedPart) X(RetiredPart) X(TokenFeedback)

namespace molink::wire {
struct PipelineEpoch;
#define MOLINK_WIRE_MESSAGE(name) struct name;
MOLINK_WIRE_MESSAGES(MOLINK_WIRE_MESSAGE)
#undef MOLINK_WIRE_MESSAGE
}  // namespace molink::wire

namespace molink {

/// Reads the fields of one verified message and checks their bounds. The first violation is kept,
/// with the field's name and the number; after it every read returns a harmless value, so that
/// callers check ok() only before they loop.
///
/// It also keeps a budget: a verified FlatBuffer may name the same bytes many times over, and
/// without one a short message could ask for gigabytes. No honest message holds more than its own
/// size.
class WireReader {
public:
    /// `message` is a static name for errors; `bytes` the size of the message.
    WireReader(const char* message, std::size_t bytes) : message_(message), budget_(bytes) {}

    bool ok() const { return status_.ok(); }
    const Status& status() const { return status_; }

    /// The fields read next belong to element `index` of the list `name`; until leave().
    void enter(const char* name, std::size_t index);
    void leave() { list_ = nullptr; }

    /// `value` when it is within [low, high], else the violation and `low`.
    template <typename T>
    T integer(const char* field, T value, std::int64_t low, std::int64_t high) {
        if (value >= low && value <= high) return value;
        fail(field, fmt::format("is {}, must be {}..{}", value, low, high));
        return static_cast<T>(low);
    }
    /// The same for 64-bit sizes and counts, from 0.
    std::uint64_t size(const char* field, std::uint64_t value, std::uint64_t high);
    /// Finite and within [0, high].
    double real(const char* field, double value, double high = 1e15);
    /// Finite and within [-high, high].
    double signed_real(const char* field, double value, double high);
    /// A list of them.
    std::vector<float> reals(const char* field, const flatbuffers::Vector<float>* values,
                             std::size_t most, double high);
    /// Of a probability: at most 0, down to minus infinity.
    float logarithm(const char* field, float value);
    std::vector<float> logarithms(const char* field, const flatbuffers::Vector<float>* values,
                                  std::size_t most);
    /// A wire enum as ours, when its number is at most `last`.
    template <typename Ours, typename Wire>
    Ours enumerator(const char* field, Wire value, Ours last) {
        return static_cast<Ours>(
            integer(field, static_cast<std::int32_t>(value), 0, static_cast<std::int32_t>(last)));
    }
    /// f32, f16, bf16 or int8.
    DataType activation_type(std::uint8_t value);
    /// Not ok: an error that says nothing went wrong would be lost on the way up.
    StatusCode error_code(const char* field, std::int32_t value);
    std::string text(const char* field, const flatbuffers::String* value);
    /// A list of tokens, each in the range of a vocabulary.
    std::vector<Token> tokens(const flatbuffers::Vector<std::int32_t>* values, std::size_t most);
    /// A list of plain integers or ids.
    template <typename Out, typename Rep>
    std::vector<Out> list(const char* field, const flatbuffers::Vector<Rep>* values,
                          std::size_t most) {
        const std::size_t count = length(field, values, most, sizeof(Rep));
        std::vector<Out> out;
        out.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            // Copied, because the verifier lets a list of 8-byte elements start at any word.
            Rep value;
            std::memcpy(&value, values->Data() + i * sizeof(Rep), sizeof(Rep));
            out.push_back(Out(flatbuffers::EndianScalar(value)));
        }
        return out;
    }
    /// Number of elements of a list, checked and charged; 0 when absent or after a violation.
    template <typename Rep>
    std::size_t length(const char* field, const flatbuffers::Vector<Rep>* values, std::size_t most,
                       std::size_t element_bytes) {
        if (values == nullptr || !ok()) return 0;
        return charge(field, values->size(), most, element_bytes) ? values->size() : 0;
    }
    /// Records a violation: "decode PartPlan: prefill[2].rows is 0, ...".
    void fail(const char* field, const std::string& what);

private:
    bool charge(const char* field, std::size_t count, std::size_t most, std::size_t element_bytes);

    const char* message_;
    const char* list_ = nullptr;
    std::size_t index_ = 0;
    std::size_t budget_;
    Status status_;
};

/// Least bytes that an element of a list of tables takes: its offset and the table's own header.
inline constexpr std::size_t kTableBytes = 8;

using Builder = flatbuffers::FlatBufferBuilder;

/// Writes a list of integers or ids; an empty one is left out.
template <typename Rep, typename T>
flatbuffers::Offset<flatbuffers::Vector<Rep>> write_list(Builder& builder,
                                                         const std::vector<T>& values) {
    if (values.empty()) return 0;
    Rep* out = nullptr;
    const auto offset = builder.CreateUninitializedVector(values.size(), &out);
    for (std::size_t i = 0; i < values.size(); ++i) {
        if constexpr (std::is_integral_v<T>) {
            flatbuffers::WriteScalar(out + i, static_cast<Rep>(values[i]));
        } else {
            flatbuffers::WriteScalar(out + i, static_cast<Rep>(values[i].value));
        }
    }
    return offset;
}

/// Writes a list of numbers; an empty one is left out.
flatbuffers::Offset<flatbuffers::Vector<float>> write_reals(Builder& builder,
                                                            const std::vector<float>& values);
/// Writes a string; an empty one is left out.
flatbuffers::Offset<flatbuffers::String> write_text(Builder& builder, const std::string& text);

flatbuffers::Offset<wire::PipelineEpoch> write_epoch(Builder& builder, PipelineEpoch epoch);
/// An absent epoch reads as epoch 0 of pipeline 0, which no pipeline ever has.
PipelineEpoch read_epoch(const wire::PipelineEpoch* from);

#define MOLINK_WIRE_MESSAGE(name)                                                 \
    flatbuffers::Offset<wire::name> write(Builder& builder, const name& message); \
    void read(WireReader& reader, const wire::name& from, name& to);
MOLINK_WIRE_MESSAGES(MOLINK_WIRE_MESSAGE)
#undef MOLINK_WIRE_MESSAGE

}  // namespace molink
