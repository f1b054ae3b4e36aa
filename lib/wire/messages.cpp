// The envelope of messages, and the checks that every byte from the network passes. The order
// matters: size, identifier, FlatBuffers verifier (offsets, depth, number of tables), kind, and
// only then the fields, each of which is checked when it is read. FlatBuffers requires 8-byte
// alignment, so other bytes are copied first.
#include "wire/messages.h"

#include <iterator>

#include "wire/generated.h"
#include "wire/wire_codec.h"

namespace molink {
namespace {

constexpr const char* kNames[] = {
#define MOLINK_WIRE_MESSAGE(name) #name,
    MOLINK_WIRE_MESSAGES(MOLINK_WIRE_MESSAGE)
#undef MOLINK_WIRE_MESSAGE
};
static_assert(std::size(kNames) == std::variant_size_v<Message> &&
                  std::size(kNames) == static_cast<std::size_t>(wire::Body::MAX),
              "schema, variant and table list the same messages");

constexpr std::size_t kAlignment = 8;
/// Smallest buffer with a root offset and the identifier.
constexpr std::size_t kLeastBytes = 8;

template <typename... Args>
Status broken(fmt::format_string<Args...> format, Args&&... args) {
    return Status(StatusCode::data_loss,
                  "decode message: " + fmt::format(format, std::forward<Args>(args)...));
}

std::size_t list_bytes(const PartPlan& plan) {
    std::size_t bytes = 8 * plan.releases.size();
    for (const SequenceOpen& open : plan.opens) bytes += 48 + 4 * open.prompt.size();
    for_each_sequence(plan.rows,
                      [&](const auto& rows) { bytes += 80 + 4 * rows.new_blocks.size(); });
    return bytes;
}

std::size_t list_bytes(const ActivationRows& rows) {
    return rows.bytes.size() + 4 * rows.bf16_rows.size();
}

std::size_t list_bytes(const ForwardedPart& part) {
    return list_bytes(part.plan) + list_bytes(part.activations) + 24 * part.stage_times.size() +
           40 * part.faults.size();
}

std::size_t list_bytes(const ReturnedPart& part) {
    return list_bytes(part.activations) + 40 * part.spans.size() + 24 * part.stage_times.size() +
           40 * part.faults.size();
}

std::size_t list_bytes(const RetiredPart& part) {
    std::size_t bytes = 24 * part.stage_times.size() + 40 * part.faults.size();
    for (const SampledRows& rows : part.sampled) {
        bytes += 48 + 4 * rows.tokens.size() + 8 * rows.logit_hashes.size();
    }
    return bytes;
}

/// Returns the bytes of a message's lists, which are nearly all of its bytes; 0 for short messages.
template <typename Other>
std::size_t list_bytes(const Other&) {
    return 0;
}

/// Reads the body as `Ours`. `name` is for errors.
template <typename Ours, typename Wire>
Result<Message> read_body(const char* name, const Wire* body, std::size_t bytes) {
    WireReader reader(name, bytes);
    Ours out;
    read(reader, *body, out);
    if (!reader.ok()) return reader.status();
    return Message(std::move(out));
}

Result<Message> read_envelope(const wire::Envelope& envelope, std::size_t bytes) {
    if (envelope.body() == nullptr)
        return broken("it has no body of kind {}", int(envelope.body_type()));
    switch (envelope.body_type()) {
        case wire::Body::NONE: break;
#define MOLINK_WIRE_MESSAGE(name) \
    case wire::Body::name: return read_body<name>(#name, envelope.body_as_##name(), bytes);
            MOLINK_WIRE_MESSAGES(MOLINK_WIRE_MESSAGE)
#undef MOLINK_WIRE_MESSAGE
    }
    return broken("its kind is {}; this release knows 1 to {}", int(envelope.body_type()),
                  int(wire::Body::MAX));
}

/// Decodes `bytes`, which start at an aligned address.
Result<Message> decode_aligned(ByteSpan bytes) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    if (!wire::EnvelopeBufferHasIdentifier(data)) {
        return broken("its {} bytes do not have the identifier {}", bytes.size(),
                      wire::EnvelopeIdentifier());
    }
    flatbuffers::Verifier::Options options;
    options.max_depth = limits::kMaxWireDepth;
    options.max_tables = limits::kMaxWireTables;
    flatbuffers::Verifier verifier(data, bytes.size(), options);
    if (!wire::VerifyEnvelopeBuffer(verifier)) {
        return broken("its {} bytes fail verification", bytes.size());
    }
    return read_envelope(*wire::GetEnvelope(data), bytes.size());
}

}  // namespace

std::string_view message_name(const Message& message) {
    return kNames[message.index()];
}

Bytes encode_message(const Message& message) {
    const std::size_t expected =
        std::visit([](const auto& value) { return list_bytes(value); }, message);
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
        return broken("it has {} bytes; {} to {} are permitted", bytes.size(), kLeastBytes,
                      limits::kMaxMessageBytes);
    }
    if (reinterpret_cast<std::uintptr_t>(bytes.data()) % kAlignment == 0)
        return decode_aligned(bytes);
    const Bytes copy(bytes.begin(), bytes.end());
    return decode_aligned(copy);
}

std::size_t peek_activation_bytes(ByteSpan bytes) {
    const wire::Envelope* envelope = wire::GetEnvelope(bytes.data());
    const wire::ActivationRows* rows = nullptr;
    if (const auto* forwarded = envelope->body_as_ForwardedPart()) rows = forwarded->activations();
    if (const auto* returned = envelope->body_as_ReturnedPart()) rows = returned->activations();
    return rows == nullptr || rows->bytes() == nullptr ? 0 : rows->bytes()->size();
}

}  // namespace molink
