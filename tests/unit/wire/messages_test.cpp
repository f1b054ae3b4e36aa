// The codec of messages: a message survives encoding and decoding, and any bytes are either refused
// with the name of the field or decoded to a struct within its bounds.
#include "wire/messages.h"

#include <limits>

#include "base/limits.h"
#include "message_samples.h"
#include "support/catch.h"
#include "wire/generated.h"

namespace molink {
namespace {

using test::kMessageKinds;
using test::random_message;

/// Encodes and decodes `message`. Returns the error, or "" when there is none.
std::string refusal(const Message& message) {
    const auto decoded = decode_message(encode_message(message));
    if (decoded) return "";
    CHECK(decoded.error().code() == StatusCode::data_loss);
    return decoded.error().message();
}

PrefillRows rows_of(std::int32_t position, std::int32_t count) {
    return {SequenceId(7), position, count, false, {}};
}

PartPlan plan_of(PrefillRows rows) {
    PartPlan plan;
    plan.rows = std::vector<PrefillRows>{std::move(rows)};
    return plan;
}

PartPlan plan_of(DecodeRows rows) {
    PartPlan plan;
    plan.rows = std::vector<DecodeRows>{std::move(rows)};
    return plan;
}

/// Returns the index of alternative T in Message.
template <typename T>
std::size_t kind_of_message() {
    return Message(T{}).index();
}

}  // namespace

TEST_CASE("every message survives the round trip") {
    for (std::size_t kind = 0; kind < kMessageKinds; ++kind) {
        Random random(kind + 1);
        for (int repeat = 0; repeat < 1000; ++repeat) {
            const Message message = random_message(kind, random);
            INFO(message_name(message) << " number " << repeat);
            REQUIRE(message.index() == kind);
            REQUIRE(test::within_bounds(message));
            const Bytes bytes = encode_message(message);
            const auto decoded = decode_message(bytes);
            if (!decoded) FAIL(decoded.error().to_string());
            REQUIRE(decoded.value() == message);
            REQUIRE(encode_message(decoded.value()) == bytes);
        }
    }
}

TEST_CASE("a message with default values keeps them") {
    CHECK(refusal(Hello{}) == "");
    CHECK(refusal(RetiredPart{}) == "");
    CHECK(refusal(TokenFeedback{}) == "");
    CHECK(decode_message(encode_message(RetiredPart{})).value() == Message(RetiredPart{}));
    CHECK_FALSE(
        std::get<Hello>(decode_message(encode_message(Hello{})).value()).layers.has_value());
}

TEST_CASE("message names follow the alternatives") {
    CHECK(message_name(Hello{}) == "Hello");
    CHECK(message_name(StageFailed{}) == "StageFailed");
    CHECK(message_name(EndEpoch{}) == "EndEpoch");
    CHECK(message_name(RetiredPart{}) == "RetiredPart");
}

TEST_CASE("a message may lie at any address") {
    Random random(5);
    const Message message = random_message(kind_of_message<ForwardedPart>(), random);
    const Bytes bytes = encode_message(message);
    for (std::size_t shift = 0; shift < 16; ++shift) {
        Bytes shifted(bytes.size() + shift);
        std::copy(bytes.begin(), bytes.end(), shifted.begin() + static_cast<std::ptrdiff_t>(shift));
        const auto decoded = decode_message(ByteSpan(shifted).subspan(shift));
        REQUIRE(decoded);
        CHECK(decoded.value() == message);
    }
}

TEST_CASE("rows out of bounds are refused with field and number") {
    CHECK(refusal(plan_of(rows_of(0, 0))) ==
          "decode PartPlan: prefill[0].rows is 0; it must be 1 to 65536");
    CHECK(refusal(plan_of(rows_of(0, -1))) ==
          "decode PartPlan: prefill[0].rows is -1; it must be 1 to 65536");
    CHECK(refusal(plan_of(rows_of(-1, 1))) ==
          "decode PartPlan: prefill[0].position is -1; it must be 0 to 16777215");
    CHECK(refusal(plan_of(rows_of(1 << 24, 1))) ==
          "decode PartPlan: prefill[0].position is 16777216; it must be 0 to 16777215");
    PartPlan large;
    large.rows = std::vector<PrefillRows>{rows_of(0, 65536), rows_of(0, 1)};
    CHECK(refusal(large) == "decode PartPlan: row count is 65537; it must be 1 to 65536");
    CHECK(refusal(PartPlan{}) == "decode PartPlan: row count is 0; it must be 1 to 65536");
    PartPlan many;
    many.rows = std::vector<PrefillRows>(limits::kMaxPartSequences + 1, rows_of(0, 1));
    CHECK(refusal(many) == "decode PartPlan: prefill has 4097 entries; at most 4096 are permitted");
}

TEST_CASE("decode rows are bounded with their drafts") {
    DecodeRows rows;
    rows.token = 1;
    rows.drafts.assign(limits::kMaxDrafts, 2);
    rows.position = (1 << 24) - rows.count();
    CHECK(refusal(plan_of(rows)) == "");
    ++rows.position;
    CHECK(refusal(plan_of(rows)) ==
          "decode PartPlan: decode[0].position is 16777152; it must be 0 to 16777151");
    rows.position = 0;
    rows.drafts.push_back(2);
    CHECK(refusal(plan_of(rows)) ==
          "decode PartPlan: decode[0].tokens has 65 entries; at most 64 are permitted");
    rows.drafts = {1, -2};
    CHECK(refusal(plan_of(rows)) ==
          "decode PartPlan: decode[0].token is -2; it must be 0 to 4194303");
    rows.drafts.clear();
    rows.token = 1 << 22;
    CHECK(refusal(plan_of(rows)) ==
          "decode PartPlan: decode[0].token is 4194305; it must be 0 to 4194304");
}

TEST_CASE("activations must match the number of rows") {
    ForwardedPart part{plan_of(rows_of(0, 3)), {DataType::bf16, 3, Bytes(3 * 2 * 5)}, {}};
    CHECK(refusal(part) == "");
    part.activations.bytes.resize(3 * 2 * 5 + 2);
    CHECK(refusal(part) ==
          "decode ForwardedPart: activations has 32 bytes, which cannot be 3 rows of bf16");
    part.activations.bytes.clear();
    CHECK(refusal(part) ==
          "decode ForwardedPart: activations has 0 bytes, which cannot be 3 rows of bf16");
    part.activations = {DataType::bf16, 2, Bytes(2 * 2 * 5)};
    CHECK(refusal(part) == "decode ForwardedPart: activations.rows is 2; it must be 3");
    part.activations = {DataType::q8_0, 3, Bytes(6)};
    CHECK(refusal(part) == "decode ForwardedPart: activation_type is 3; it must be 0 to 2 or 5");
}

TEST_CASE("a forwarded part must have all tokens") {
    DecodeRows rows;
    const ActivationRows row{DataType::f32, 1, Bytes(8)};
    CHECK(refusal(ForwardedPart{plan_of(rows), row, {}}) ==
          "decode ForwardedPart: plan has decode rows without a token");
    rows.token = 0;
    CHECK(refusal(ForwardedPart{plan_of(rows), row, {}}) == "");
}

TEST_CASE("a returned part must have the rows that it claims") {
    ReturnedPart part;
    part.spans = {{SequenceId(7), 0, 3, 1}};
    part.activations = {DataType::f32, 2, Bytes(2 * 4 * 5)};
    CHECK(refusal(part) == "");
    part.activations.rows = 4;
    CHECK(refusal(part) == "decode ReturnedPart: activations.rows is 4; it must be 0 to 3");
    part.activations.rows = 3;
    CHECK(refusal(part) ==
          "decode ReturnedPart: activations has 40 bytes, which cannot be 3 rows of f32");
    part.activations.rows = 0;
    CHECK(refusal(part) ==
          "decode ReturnedPart: activations has 40 bytes, which cannot be 0 rows of f32");
    part.activations.bytes.clear();
    CHECK(refusal(part) == "");
    part.activations.rows = 1;
    CHECK(refusal(part) ==
          "decode ReturnedPart: activations has 0 bytes, which cannot be 1 rows of f32");
    part.spans[0].sampled = 4;
    CHECK(refusal(part) == "decode ReturnedPart: spans[0].sampled is 4; it must be 0 to 3");
}

TEST_CASE("feedback must have at least one token") {
    TokenFeedback feedback;
    feedback.accepted = {{SequenceId(1), 3, {}}};
    CHECK(refusal(feedback) ==
          "decode TokenFeedback: accepted[0].tokens has no entries; at least 1 is needed");
}

TEST_CASE("numbers of the sampler must be finite and in range") {
    PartPlan plan = plan_of(rows_of(0, 1));
    plan.opens.resize(2);
    for (const float bad : {-1.0f, 101.0f, std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
        plan.opens[1].sampling.temperature = bad;
        CHECK(refusal(plan).find("decode PartPlan: opens[1].temperature is ") == 0);
    }
    plan.opens[1].sampling.temperature = 100;
    CHECK(refusal(plan) == "");
}

TEST_CASE("joining messages are bounded") {
    Hello hello;
    hello.node_name.assign(4097, 'x');
    CHECK(refusal(hello) == "decode Hello: node_name has 4097 entries; at most 4096 are permitted");
    hello = Hello{};
    hello.layers = LayerRange{5, 4};
    CHECK(refusal(hello) == "decode Hello: layers.end is 4; it must be 5 to 1024");
    hello.layers = LayerRange{0, 1025};
    CHECK(refusal(hello) == "decode Hello: layers.end is 1025; it must be 0 to 1024");
    hello = Hello{};
    hello.devices.resize(2);
    hello.devices[1].profile.lm_head_row_us = std::numeric_limits<double>::quiet_NaN();
    CHECK(refusal(hello).find("decode Hello: devices[1].profile.lm_head_row_us is nan") == 0);
    hello.devices[1] = {};
    hello.devices[0].memory_bytes = (1ull << 50) + 1;
    CHECK(refusal(hello).find("decode Hello: devices[0].memory_bytes is 1125899906842625") == 0);
    hello.devices.assign(17, {});
    CHECK(refusal(hello) == "decode Hello: devices has 17 entries; at most 16 are permitted");
    hello = Hello{};
    hello.weight_type = static_cast<DataType>(200);
    CHECK(refusal(hello) == "decode Hello: weight_type is 200; it must be 0 to 4");
    Assign assign;
    CHECK(refusal(assign) == "decode Assign: ring is not valid: the ring has no stages");
    assign.ring = *Ring::make({{NodeId(1), "a", {0, 2}}, {NodeId(2), "b", {2, 4}}}, false, true);
    assign.stage_index = 2;
    CHECK(refusal(assign) == "decode Assign: stage_index is 2; it must be 0 to 1");
    assign.stage_index = 1;
    assign.ring = *Ring::make({{NodeId(1), "a", {0, 2000}}}, false, true);
    CHECK(refusal(assign) ==
          "decode Assign: ring.stages[0].layers.end is 2000; it must be 0 to 1024");
    CHECK(refusal(Refuse{StatusCode::ok, "x"}) == "decode Refuse: code is 0; it must be 1 to 10");
    CHECK(refusal(StageReady{{}, 256}) ==
          "decode StageReady: stage_index is 256; it must be 0 to 255");
    CHECK(refusal(StageFailed{{}, 0, static_cast<StatusCode>(11), "x"}) ==
          "decode StageFailed: code is 11; it must be 1 to 10");
}

TEST_CASE("a long reason is cut between code points") {
    Refuse refuse{StatusCode::unavailable, "a"};
    for (int i = 0; i < 3000; ++i) refuse.reason += "\xc3\xa9";
    const auto decoded = decode_message(encode_message(refuse));
    REQUIRE(decoded);
    const std::string& reason = std::get<Refuse>(decoded.value()).reason;
    CHECK(reason.size() == 4095);
    CHECK(reason == refuse.reason.substr(0, 4095));
}

TEST_CASE("bytes that are not a message are refused") {
    CHECK(decode_message({}).error().message() ==
          "decode message: it has 0 bytes; 8 to 536870912 are permitted");
    const Bytes zeros(64);
    CHECK(decode_message(zeros).error().message() ==
          "decode message: its 64 bytes do not have the identifier MLNK");
    Bytes named(64);
    for (std::size_t i = 0; i < 4; ++i) named[4 + i] = static_cast<std::byte>("MLNK"[i]);
    CHECK(decode_message(named).error().message() ==
          "decode message: its 64 bytes fail verification");
}

TEST_CASE("an envelope without a known body is refused") {
    const auto envelope_of = [](std::uint8_t kind, bool with_body) {
        flatbuffers::FlatBufferBuilder builder;
        flatbuffers::Offset<void> body;
        if (with_body) body = wire::CreateHeartbeat(builder, 1).Union();
        const auto type = static_cast<wire::Body>(kind);
        wire::FinishEnvelopeBuffer(builder, wire::CreateEnvelope(builder, type, body));
        const auto* first = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
        return Bytes(first, first + builder.GetSize());
    };
    CHECK(decode_message(envelope_of(0, false)).error().message().find("no body of kind 0") !=
          std::string::npos);
    CHECK(decode_message(envelope_of(15, false)).error().message().find("no body of kind 15") !=
          std::string::npos);
    CHECK(decode_message(envelope_of(99, true)).error().message() ==
          "decode message: its kind is 99; this release knows 1 to 22");
}

TEST_CASE("lists that share their bytes cannot exceed the size of the message") {
    flatbuffers::FlatBufferBuilder builder;
    const auto prompt = builder.CreateVector(std::vector<std::int32_t>(100'000, 1));
    const auto open = wire::CreateSequenceOpen(builder, 1, prompt);
    const std::vector<flatbuffers::Offset<wire::SequenceOpen>> shared(4000, open);
    const auto opens = builder.CreateVector(shared);
    wire::PartPlanBuilder part(builder);
    part.add_opens(opens);
    const auto body = part.Finish().Union();
    wire::FinishEnvelopeBuffer(builder, wire::CreateEnvelope(builder, wire::Body::PartPlan, body));
    const auto* first = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
    const auto decoded = decode_message(ByteSpan(first, builder.GetSize()));
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error().message().find("decode PartPlan: opens[0].tokens has 400000 bytes") == 0);
}

TEST_CASE("a list of 8-byte elements may start at any word") {
    // The sanitizer build detects a read that assumes alignment.
    for (std::size_t padding = 0; padding < 4; ++padding) {
        flatbuffers::FlatBufferBuilder builder;
        builder.CreateVector(std::vector<std::uint32_t>(8 + padding, 0));
        const auto words = builder.CreateVector(std::vector<std::uint32_t>{7, 0});
        const auto row = wire::CreateDecodeRows(builder, 1, 0, 1);
        const auto rows = builder.CreateVector(std::vector{row});
        wire::PartPlanBuilder part(builder);
        part.add_decode(rows);
        part.add_releases(flatbuffers::Offset<flatbuffers::Vector<std::uint64_t>>(words.o));
        const auto body = part.Finish().Union();
        wire::FinishEnvelopeBuffer(builder,
                                   wire::CreateEnvelope(builder, wire::Body::PartPlan, body));
        const auto* first = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
        const auto decoded = decode_message(ByteSpan(first, builder.GetSize()));
        REQUIRE(decoded);
        CHECK(std::get<PartPlan>(decoded.value()).releases.at(0) == SequenceId(7));
    }
}

TEST_CASE("fields that an older peer does not send have their defaults") {
    flatbuffers::FlatBufferBuilder builder;
    wire::HelloBuilder hello(builder);
    hello.add_protocol_major(1);
    const auto body = hello.Finish().Union();
    wire::FinishEnvelopeBuffer(builder, wire::CreateEnvelope(builder, wire::Body::Hello, body));
    const auto* first = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
    const auto decoded = decode_message(ByteSpan(first, builder.GetSize()));
    REQUIRE(decoded);
    Hello expected;
    expected.protocol_major = 1;
    CHECK(decoded.value() == Message(expected));
}

}  // namespace molink
