// The envelope: which message it is, and the gate that every byte from the network passes. Order
// matters: size, identifier, FlatBuffers verifier (offsets, depth, number of tables), kind, and
// only then the fields, each checked as it is read. The bytes may lie anywhere; FlatBuffers wants
// 8-byte alignment, so others are copied first.
#include "wire/messages.h"

#include <array>

#include "wire/generated.h"
#include "wire/wire_codec.h"

namespace molink {
namespace {

constexpr std::array<const char*, std::variant_size_v<Message>> kNames = {
    "Hello",      "Welcome",    "Refuse",     "Assign",      "LoadProgress", "StageLoaded",
    "StageStart", "StageReady", "PeerHello",  "StageFailed", "Heartbeat",    "Part",
    "Retire",     "ProbeLink",  "ProbeHello", "LinkProbe"};
static_assert(static_cast<std::size_t>(wire::Body::MAX) == kNames.size(),
              "the union of the schema and the variant list the same messages");

constexpr std::size_t kAlignment = 8;
/// Least buffer that can hold a root offset and the identifier.
constexpr std::size_t kLeastBytes = 8;

template <typename... Args>
Status broken(fmt::format_string<Args...> format, Args&&... args) {
    return Status(StatusCode::data_loss,
                  "decode message: " + fmt::format(format, std::forward<Args>(args)...));
}

/// Room for the lists of a message, which are nearly all of its bytes.
std::size_t list_bytes(const Message& message) {
    std::size_t bytes = 0;
    if (const auto* part = std::get_if<Part>(&message)) {
        bytes +=
            part->activations.size() + 8 * part->releases.size() + 24 * part->stage_times.size();
        for (const SequenceOpen& open : part->opens) bytes += 48 + 4 * open.prompt.size();
        for (const SequenceRun& run : part->runs) {
            bytes += 64 + 4 * run.tokens.size() + 4 * run.new_blocks.size();
        }
    } else if (const auto* retire = std::get_if<Retire>(&message)) {
        bytes += 24 * retire->stage_times.size();
        for (const SampledRun& run : retire->sampled) {
            bytes += 48 + 4 * run.tokens.size() + 8 * run.logit_hashes.size();
        }
    }
    return bytes;
}

/// The index of `Ours` among the alternatives, from types alone: not every compiler can make a
/// Message while it compiles.
template <typename Ours, typename... All>
constexpr std::size_t index_in(const std::variant<All...>*) {
    std::size_t index = 0;
    (void)((std::is_same_v<Ours, All> || (++index, false)) || ...);
    return index;
}

/// Reads the body as alternative `Ours` of Message.
template <typename Ours, typename Wire>
Result<Message> read_body(const Wire* body, std::size_t bytes) {
    constexpr std::size_t kIndex = index_in<Ours>(static_cast<const Message*>(nullptr));
    WireReader reader(kNames[kIndex], bytes);
    Ours out;
    read(reader, *body, out);
    if (!reader.ok()) return reader.status();
    return Message(std::move(out));
}

Result<Message> read_envelope(const wire::Envelope& envelope, std::size_t bytes) {
    if (envelope.body() == nullptr) return broken("no body of kind {}", int(envelope.body_type()));
    switch (envelope.body_type()) {
        case wire::Body::NONE: break;
        case wire::Body::Hello: return read_body<Hello>(envelope.body_as_Hello(), bytes);
        case wire::Body::Welcome: return read_body<Welcome>(envelope.body_as_Welcome(), bytes);
        case wire::Body::Refuse: return read_body<Refuse>(envelope.body_as_Refuse(), bytes);
        case wire::Body::Assign: return read_body<Assign>(envelope.body_as_Assign(), bytes);
        case wire::Body::LoadProgress:
            return read_body<LoadProgress>(envelope.body_as_LoadProgress(), bytes);
        case wire::Body::StageLoaded:
            return read_body<StageLoaded>(envelope.body_as_StageLoaded(), bytes);
        case wire::Body::StageStart:
            return read_body<StageStart>(envelope.body_as_StageStart(), bytes);
        case wire::Body::StageReady:
            return read_body<StageReady>(envelope.body_as_StageReady(), bytes);
        case wire::Body::PeerHello:
            return read_body<PeerHello>(envelope.body_as_PeerHello(), bytes);
        case wire::Body::StageFailed:
            return read_body<StageFailed>(envelope.body_as_StageFailed(), bytes);
        case wire::Body::Heartbeat:
            return read_body<Heartbeat>(envelope.body_as_Heartbeat(), bytes);
        case wire::Body::Part: return read_body<Part>(envelope.body_as_Part(), bytes);
        case wire::Body::Retire: return read_body<Retire>(envelope.body_as_Retire(), bytes);
        case wire::Body::ProbeLink:
            return read_body<ProbeLink>(envelope.body_as_ProbeLink(), bytes);
        case wire::Body::ProbeHello:
            return read_body<ProbeHello>(envelope.body_as_ProbeHello(), bytes);
        case wire::Body::LinkProbe:
            return read_body<LinkProbe>(envelope.body_as_LinkProbe(), bytes);
    }
    return broken("unknown kind {}, this release knows 1..{}", int(envelope.body_type()),
                  int(wire::Body::MAX));
}

/// `bytes` starts at an aligned address.
Result<Message> decode_aligned(ByteSpan bytes) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    if (!wire::EnvelopeBufferHasIdentifier(data)) {
        return broken("{} bytes without the identifier {}", bytes.size(),
                      wire::EnvelopeIdentifier());
    }
    flatbuffers::Verifier::Options options;
    options.max_depth = limits::kMaxWireDepth;
    options.max_tables = limits::kMaxWireTables;
    flatbuffers::Verifier verifier(data, bytes.size(), options);
    if (!wire::VerifyEnvelopeBuffer(verifier)) {
        return broken("{} bytes fail verification", bytes.size());
    }
    return read_envelope(*wire::GetEnvelope(data), bytes.size());
}

}  // namespace

std::string_view message_name(const Message& message) {
    return kNames[message.index()];
}

Bytes encode_message(const Message& message) {
    const std::size_t expected = list_bytes(message);
    if (expected > limits::kMaxMessageBytes) return {};
    Builder builder(expected + 512);
    const auto body =
        std::visit([&](const auto& value) { return write(builder, value).Union(); }, message);
    const auto kind = static_cast<wire::Body>(message.index() + 1);
    wire::FinishEnvelopeBuffer(builder, wire::CreateEnvelope(builder, kind, body));
    if (builder.GetSize() > limits::kMaxMessageBytes) return {};
    const auto* first = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
    return Bytes(first, first + builder.GetSize());
}

Result<Message> decode_message(ByteSpan bytes) {
    if (bytes.size() < kLeastBytes || bytes.size() > limits::kMaxMessageBytes) {
        return broken("{} bytes, must be {}..{}", bytes.size(), kLeastBytes,
                      limits::kMaxMessageBytes);
    }
    if (reinterpret_cast<std::uintptr_t>(bytes.data()) % kAlignment == 0)
        return decode_aligned(bytes);
    const Bytes copy(bytes.begin(), bytes.end());
    return decode_aligned(copy);
}

std::size_t peek_activation_bytes(ByteSpan bytes) {
    const wire::Envelope* envelope = wire::GetEnvelope(bytes.data());
    const wire::Part* part = envelope->body_as_Part();
    return part == nullptr || part->activations() == nullptr ? 0 : part->activations()->size();
}

}  // namespace molink
