// Bounds of received fields. The verifier has checked that every offset is inside the message. It
// cannot check that a number is valid, that a list has a sensible length, and that lists do not
// share bytes in order to use much more memory than the message. These three are checked here, with
// the field's name in the error.
#include "wire/wire_codec.h"

#include <algorithm>

#include "tensor/activation_codec.h"
#include "wire/generated.h"

namespace molink {

void WireReader::enter(const char* name, std::size_t index) {
    list_ = name;
    index_ = index;
}

void WireReader::fail(const char* field, const std::string& what) {
    if (!ok()) return;
    if (list_ == nullptr) {
        status_ = make_error(StatusCode::data_loss, "decode {}: {} {}", message_, field, what);
    } else {
        status_ = make_error(StatusCode::data_loss, "decode {}: {}[{}].{} {}", message_, list_,
                             index_, field, what);
    }
}

bool WireReader::charge(const char* field, std::size_t count, std::size_t most,
                        std::size_t element_bytes) {
    if (count > most) {
        fail(field, fmt::format("has {} entries; at most {} are permitted", count, most));
        return false;
    }
    const std::size_t bytes = count * element_bytes;
    if (bytes > budget_) {
        fail(field, fmt::format("has {} bytes; only {} of the message are left", bytes, budget_));
        return false;
    }
    budget_ -= bytes;
    return true;
}

std::uint64_t WireReader::size(const char* field, std::uint64_t value, std::uint64_t high) {
    if (value <= high) return value;
    fail(field, fmt::format("is {}; it must be at most {}", value, high));
    return 0;
}

double WireReader::real(const char* field, double value, double high) {
    if (std::isfinite(value) && value >= 0 && value <= high) return value;
    fail(field, fmt::format("is {}; it must be 0 to {}", value, high));
    return 0;
}

std::optional<PublicKey> WireReader::key(const char* field,
                                         const flatbuffers::Vector<std::uint8_t>* bytes) {
    if (bytes == nullptr || !ok()) return std::nullopt;
    PublicKey key;
    if (bytes->size() != key.bytes.size()) {
        fail(field, fmt::format("has {} bytes; a key has {}", bytes->size(), key.bytes.size()));
        return std::nullopt;
    }
    if (!charge(field, bytes->size(), key.bytes.size(), 1)) return std::nullopt;
    std::copy(bytes->begin(), bytes->end(), key.bytes.begin());
    return key;
}

DataType WireReader::activation_type(std::uint8_t value) {
    const auto type = static_cast<DataType>(value);
    if (is_activation_type(type)) return type;
    fail("activation_type", fmt::format("is {}; it must be 0 to 2 or 5", value));
    return DataType::f32;
}

StatusCode WireReader::error_code(const char* field, std::int32_t value) {
    return static_cast<StatusCode>(
        integer(field, value, 1, static_cast<std::int32_t>(StatusCode::internal)));
}

double WireReader::signed_real(const char* field, double value, double high) {
    if (std::isfinite(value) && value >= -high && value <= high) return value;
    fail(field, fmt::format("is {}; it must be {} to {}", value, -high, high));
    return 0;
}

std::vector<float> WireReader::reals(const char* field, const flatbuffers::Vector<float>* values,
                                     std::size_t most, double high) {
    std::vector<float> out(length(field, values, most, sizeof(float)));
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = static_cast<float>(
            signed_real(field, values->Get(static_cast<flatbuffers::uoffset_t>(i)), high));
    }
    return out;
}

float WireReader::logarithm(const char* field, float value) {
    if (value <= 0) return value;
    fail(field, fmt::format("is {}, which is not the logarithm of a probability", value));
    return 0;
}

std::vector<float> WireReader::logarithms(const char* field,
                                          const flatbuffers::Vector<float>* values,
                                          std::size_t most) {
    std::vector<float> out(length(field, values, most, sizeof(float)));
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = logarithm(field, values->Get(static_cast<flatbuffers::uoffset_t>(i)));
    }
    return out;
}

std::string WireReader::text(const char* field, const flatbuffers::String* value) {
    if (value == nullptr || !ok()) return {};
    const std::size_t bytes = value->size();
    if (!charge(field, bytes, limits::kMaxWireStringBytes, 1)) return {};
    return std::string(value->c_str(), bytes);
}

std::vector<Token> WireReader::tokens(const flatbuffers::Vector<std::int32_t>* values,
                                      std::size_t most) {
    auto out = list<Token>("tokens", values, most);
    for (const Token token : out) integer("token", token, 0, limits::kMaxVocabulary - 1);
    return out;
}

flatbuffers::Offset<flatbuffers::Vector<float>> write_reals(Builder& builder,
                                                            const std::vector<float>& values) {
    if (values.empty()) return 0;
    return builder.CreateVector(values);
}

flatbuffers::Offset<wire::PipelineEpoch> write_epoch(Builder& builder, PipelineEpoch epoch) {
    return wire::CreatePipelineEpoch(builder, epoch.pipeline.value, epoch.epoch.value);
}

PipelineEpoch read_epoch(const wire::PipelineEpoch* from) {
    if (from == nullptr) return {};
    return {PipelineId(from->pipeline()), Epoch(from->epoch())};
}

flatbuffers::Offset<flatbuffers::String> write_text(Builder& builder, const std::string& text) {
    if (text.empty()) return 0;
    return builder.CreateString(text);
}

flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> write_key(
    Builder& builder, const std::optional<PublicKey>& key) {
    if (!key) return 0;
    return builder.CreateVector(key->bytes.data(), key->bytes.size());
}

}  // namespace molink
