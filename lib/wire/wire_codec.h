#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <flatbuffers/flatbuffers.h>

#include "base/error.h"
#include "base/limits.h"
#include "wire/messages.h"

// Shared by the files messages*.cpp. Not for use outside lib/wire.

// The alternatives of molink::Message in their order, which is that of the schema's union. Each has
// functions write() and read() in messages_join.cpp or messages_work.cpp.
#define MOLINK_WIRE_MESSAGES(X)                                                              \
    X(Hello)                                                                                 \
    X(Welcome)                                                                               \
    X(Refuse)                                                                                \
    X(Assign)                                                                                \
    X(LoadProgress)                                                                          \
    X(StageLoaded) X(StageStart) X(StageReady) X(PeerHello) X(StageFailed) X(Heartbeat)      \
        X(ProbeLink) X(ProbeHello) X(LinkProbe) X(PartPlan) X(ForwardedPart) X(ReturnedPart) \
            X(RetiredPart) X(TokenFeedback) X(Enrol) X(Enrolled) X(EndEpoch)

namespace molink::wire {
struct PipelineEpoch;
#define MOLINK_WIRE_MESSAGE(name) struct name;
MOLINK_WIRE_MESSAGES(MOLINK_WIRE_MESSAGE)
#undef MOLINK_WIRE_MESSAGE
}  // namespace molink::wire

namespace molink {

/// Reads the fields of one verified message and checks their bounds. It keeps the first violation
/// with the field's name and value. After a violation every read returns a harmless value, so
/// callers need to check ok() only before a loop.
///
/// It also has a budget of the message's size. A verified FlatBuffer may refer to the same bytes
/// many times, so a short message could otherwise need gigabytes. Correct messages never need more
/// than their own size.
class WireReader {
public:
    /// `message` is a static name for errors. `bytes` is the size of the message.
    WireReader(const char* message, std::size_t bytes) : message_(message), budget_(bytes) {}

    bool ok() const { return status_.ok(); }
    const Status& status() const { return status_; }

    /// The next fields belong to element `index` of the list `name`, until leave().
    void enter(const char* name, std::size_t index);
    void leave() { list_ = nullptr; }

    /// Returns `value` if it is within [low, high]. Otherwise records a violation and returns
    /// `low`.
    template <typename T>
    T integer(const char* field, T value, std::int64_t low, std::int64_t high) {
        if (value >= low && value <= high) return value;
        fail(field, low == high ? fmt::format("is {}; it must be {}", value, low)
                                : fmt::format("is {}; it must be {} to {}", value, low, high));
        return static_cast<T>(low);
    }
    /// Does the same for 64-bit sizes and counts in [0, high].
    std::uint64_t size(const char* field, std::uint64_t value, std::uint64_t high);
    /// Reads a finite number within [0, high].
    double real(const char* field, double value, double high = 1e15);
    /// Reads a finite number within [-high, high].
    double signed_real(const char* field, double value, double high);
    /// Reads a list of such numbers.
    std::vector<float> reals(const char* field, const flatbuffers::Vector<float>* values,
                             std::size_t most, double high);
    /// Reads the logarithm of a probability: at most 0, possibly minus infinity.
    float logarithm(const char* field, float value);
    std::vector<float> logarithms(const char* field, const flatbuffers::Vector<float>* values,
                                  std::size_t most);
    /// Converts a wire enum whose number is at most `last`.
    template <typename Ours, typename Wire>
    Ours enumerator(const char* field, Wire value, Ours last) {
        return static_cast<Ours>(
            integer(field, static_cast<std::int32_t>(value), 0, static_cast<std::int32_t>(last)));
    }
    /// Reads f32, f16, bf16 or int8.
    DataType activation_type(std::uint8_t value);
    /// Reads a code other than ok. An error with the code ok would be lost.
    StatusCode error_code(const char* field, std::int32_t value);
    std::string text(const char* field, const flatbuffers::String* value);
    /// Reads a key; none when it is absent.
    std::optional<PublicKey> key(const char* field, const flatbuffers::Vector<std::uint8_t>* bytes);
    /// Reads a list of tokens, each within the range of a vocabulary.
    std::vector<Token> tokens(const flatbuffers::Vector<std::int32_t>* values, std::size_t most);
    /// Reads a list of integers or ids.
    template <typename Out, typename Rep>
    std::vector<Out> list(const char* field, const flatbuffers::Vector<Rep>* values,
                          std::size_t most) {
        const std::size_t count = length(field, values, most, sizeof(Rep));
        std::vector<Out> out;
        out.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            // Copied, because the verifier permits a list of 8-byte elements at any 4-byte
            // boundary.
            Rep value;
            std::memcpy(&value, values->Data() + i * sizeof(Rep), sizeof(Rep));
            out.push_back(Out(flatbuffers::EndianScalar(value)));
        }
        return out;
    }
    /// Returns the number of elements of a list, after it is checked and charged to the budget; 0
    /// if the list is absent or after a violation.
    template <typename Rep>
    std::size_t length(const char* field, const flatbuffers::Vector<Rep>* values, std::size_t most,
                       std::size_t element_bytes) {
        if (values == nullptr || !ok()) return 0;
        return charge(field, values->size(), most, element_bytes) ? values->size() : 0;
    }
    /// Records a violation, such as "decode PartPlan: prefill[2].rows is 0, ...".
    void fail(const char* field, const std::string& what);

private:
    bool charge(const char* field, std::size_t count, std::size_t most, std::size_t element_bytes);

    const char* message_;
    const char* list_ = nullptr;
    std::size_t index_ = 0;
    std::size_t budget_;
    Status status_;
};

/// Minimum bytes of an element in a list of tables: its offset and the header of the table.
inline constexpr std::size_t kTableBytes = 8;

using Builder = flatbuffers::FlatBufferBuilder;

/// Writes a list of integers or ids. An empty list is not written.
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

/// Writes a list of numbers. An empty list is not written.
flatbuffers::Offset<flatbuffers::Vector<float>> write_reals(Builder& builder,
                                                            const std::vector<float>& values);
/// Writes a string. An empty string is not written.
flatbuffers::Offset<flatbuffers::String> write_text(Builder& builder, const std::string& text);

/// Writes a key. None is not written.
flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> write_key(
    Builder& builder, const std::optional<PublicKey>& key);

flatbuffers::Offset<wire::PipelineEpoch> write_epoch(Builder& builder, PipelineEpoch epoch);
/// Reads an epoch. An absent one is epoch 0 of pipeline 0, which no pipeline has.
PipelineEpoch read_epoch(const wire::PipelineEpoch* from);

#define MOLINK_WIRE_MESSAGE(name)                                                 \
    flatbuffers::Offset<wire::name> write(Builder& builder, const name& message); \
    void read(WireReader& reader, const wire::name& from, name& to);
MOLINK_WIRE_MESSAGES(MOLINK_WIRE_MESSAGE)
#undef MOLINK_WIRE_MESSAGE

}  // namespace molink
