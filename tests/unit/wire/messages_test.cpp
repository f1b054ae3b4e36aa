// The codec of messages: what goes in comes out, and whatever the network brings is either refused
// with the field's name or a struct within its bounds.
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

/// The error of decoding what `message` encodes to; "" when it decodes.
std::string refusal(const Message& message) {
    const auto decoded = decode_message(encode_message(message));
    if (decoded) return "";
    CHECK(decoded.error().code() == StatusCode::data_loss);
    return decoded.error().message();
}

SequenceRun run_of(std::int32_t position, std::int32_t count) {
    SequenceRun run;
    run.id = SequenceId(7);
    run.position = position;
    run.count = count;
    return run;
}

Part part_of(SequenceRun run) {
    Part part;
    part.runs.push_back(std::move(run));
    return part;
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

TEST_CASE("a message of defaults keeps them") {
    CHECK(refusal(Hello{}) == "");
    CHECK(refusal(Part{}) == "");
    CHECK(refusal(Retire{}) == "");
    CHECK(decode_message(encode_message(Part{})).value() == Message(Part{}));
    CHECK_FALSE(
        std::get<Hello>(decode_message(encode_message(Hello{})).value()).layers.has_value());
}

TEST_CASE("message names follow the alternatives") {
    CHECK(message_name(Hello{}) == "Hello");
    CHECK(message_name(StageFailed{}) == "StageFailed");
    CHECK(message_name(Retire{}) == "Retire");
}

TEST_CASE("a message may lie at any address") {
    Random random(5);
    const Message message = random_message(11, random);
    const Bytes bytes = encode_message(message);
    for (std::size_t shift = 0; shift < 16; ++shift) {
        Bytes shifted(bytes.size() + shift);
        std::copy(bytes.begin(), bytes.end(), shifted.begin() + static_cast<std::ptrdiff_t>(shift));
        const auto decoded = decode_message(ByteSpan(shifted).subspan(shift));
        REQUIRE(decoded);
        CHECK(decoded.value() == message);
    }
}

TEST_CASE("runs out of bounds are refused with field and number") {
    CHECK(refusal(part_of(run_of(0, 0))) == "decode Part: runs[0].count is 0, must be 1..65536");
    CHECK(refusal(part_of(run_of(0, -1))) == "decode Part: runs[0].count is -1, must be 1..65536");
    CHECK(refusal(part_of(run_of(-1, 1))) ==
          "decode Part: runs[0].position is -1, must be 0..16777215");
    CHECK(refusal(part_of(run_of(1 << 24, 1))) ==
          "decode Part: runs[0].position is 16777216, must be 0..16777215");
    SequenceRun run = run_of(0, 2);
    run.tokens = {1, 2, 3};
    CHECK(refusal(part_of(run)) ==
          "decode Part: runs[0].tokens has 3 entries, must be 0 or the run's count 2");
    run.tokens = {1, -2};
    CHECK(refusal(part_of(run)) == "decode Part: runs[0].token is -2, must be 0..4194303");
    run.tokens.clear();
    run.sample_count = 3;
    CHECK(refusal(part_of(run)) == "decode Part: runs[0].sample_count is 3, must be 0..2");
    Part large;
    large.runs = {run_of(0, 65536), run_of(0, 1)};
    CHECK(refusal(large) == "decode Part: row count is 65537, must be 0..65536");
    Part many;
    many.runs.assign(limits::kMaxPartSequences + 1, run_of(0, 1));
    CHECK(refusal(many) == "decode Part: runs has 4097 entries, at most 4096 are allowed");
}

TEST_CASE("activations must fit the rows") {
    Part part = part_of(run_of(0, 3));
    part.activation_type = DataType::bf16;
    part.activations.resize(3 * 2 * 5);
    CHECK(refusal(part) == "");
    part.activations.resize(3 * 2 * 5 + 2);
    CHECK(refusal(part) ==
          "decode Part: activations has 32 bytes, not a multiple of 3 rows of bf16");
    part.activations.resize(1);
    CHECK(refusal(part).find("activations") != std::string::npos);
    part.runs.clear();
    CHECK(refusal(part).find("activations has 1 bytes, not a multiple of 0 rows") !=
          std::string::npos);
    part = part_of(run_of(0, 3));
    part.activation_type = DataType::q8_0;
    CHECK(refusal(part) == "decode Part: activation_type is 3, must be 0..2 or 5");
}

TEST_CASE("a part on its way back brings the rows that it says") {
    Part part = part_of(run_of(0, 3));
    part.head_rows = 2;
    part.activations.resize(2 * 4 * 5);
    CHECK(refusal(part) == "");
    part.head_rows = 4;
    CHECK(refusal(part) == "decode Part: head_row_count is 5, must be 0..4");
    part.head_rows = -3;
    CHECK(refusal(part) == "decode Part: head_row_count is -2, must be 0..4");
    part.head_rows = 3;
    CHECK(refusal(part) ==
          "decode Part: activations has 40 bytes, not a multiple of 3 rows of f32");
    part.head_rows = 0;
    CHECK(refusal(part) ==
          "decode Part: activations has 40 bytes, not a multiple of 0 rows of f32");
    part.activations.clear();
    CHECK(refusal(part) == "");
    part.head_rows = 1;
    CHECK(refusal(part) == "decode Part: activations has 0 bytes, not a multiple of 1 rows of f32");
}

TEST_CASE("numbers of the sampler must mean something") {
    Part part;
    part.opens.resize(2);
    for (const float bad : {-1.0f, 101.0f, std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
        part.opens[1].sampling.temperature = bad;
        CHECK(refusal(part).find("decode Part: opens[1].temperature is ") == 0);
    }
    part.opens[1].sampling.temperature = 100;
    CHECK(refusal(part) == "");
}

TEST_CASE("joining messages are bounded") {
    Hello hello;
    hello.node_name.assign(4097, 'x');
    CHECK(refusal(hello) == "decode Hello: node_name has 4097 entries, at most 4096 are allowed");
    hello = Hello{};
    hello.layers = LayerRange{5, 4};
    CHECK(refusal(hello) == "decode Hello: layers.end is 4, must be 5..1024");
    hello.layers = LayerRange{0, 1025};
    CHECK(refusal(hello) == "decode Hello: layers.end is 1025, must be 0..1024");
    hello = Hello{};
    hello.profile.head_row_us = std::numeric_limits<double>::quiet_NaN();
    CHECK(refusal(hello).find("decode Hello: profile.head_row_us is nan") == 0);
    hello = Hello{};
    hello.memory_bytes = (1ull << 50) + 1;
    CHECK(refusal(hello).find("decode Hello: memory_bytes is 1125899906842625") == 0);
    hello = Hello{};
    hello.weight_mode = static_cast<DataType>(200);
    CHECK(refusal(hello) == "decode Hello: weight_mode is 200, must be 0..4");
    Assign assign;
    CHECK(refusal(assign) == "decode Assign: stage_count is 0, must be 1..256");
    assign.stage_count = 3;
    assign.stage_index = 3;
    CHECK(refusal(assign) == "decode Assign: stage_index is 3, must be 0..2");
    CHECK(refusal(Refuse{StatusCode::ok, "x"}) == "decode Refuse: code is 0, must be 1..10");
    CHECK(refusal(StageFailed{Epoch(1), static_cast<StatusCode>(11), "x"}) ==
          "decode StageFailed: code is 11, must be 1..10");
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

TEST_CASE("what is not a message is refused") {
    CHECK(decode_message({}).error().message() == "decode message: 0 bytes, must be 8..536870912");
    const Bytes zeros(64);
    CHECK(decode_message(zeros).error().message() ==
          "decode message: 64 bytes without the identifier MLNK");
    Bytes named(64);
    for (std::size_t i = 0; i < 4; ++i) named[4 + i] = static_cast<std::byte>("MLNK"[i]);
    CHECK(decode_message(named).error().message() == "decode message: 64 bytes fail verification");
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
    CHECK(decode_message(envelope_of(12, false)).error().message().find("no body of kind 12") !=
          std::string::npos);
    CHECK(decode_message(envelope_of(99, true)).error().message() ==
          "decode message: unknown kind 99, this release knows 1..16");
}

TEST_CASE("lists that share their bytes cannot blow up a message") {
    flatbuffers::FlatBufferBuilder builder;
    const auto prompt = builder.CreateVector(std::vector<std::int32_t>(100'000, 1));
    const auto open = wire::CreateSequenceOpen(builder, 1, prompt);
    const std::vector<flatbuffers::Offset<wire::SequenceOpen>> shared(4000, open);
    const auto opens = builder.CreateVector(shared);
    wire::PartBuilder part(builder);
    part.add_opens(opens);
    const auto body = part.Finish().Union();
    wire::FinishEnvelopeBuffer(builder, wire::CreateEnvelope(builder, wire::Body::Part, body));
    const auto* first = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
    const auto decoded = decode_message(ByteSpan(first, builder.GetSize()));
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error().message().find("decode Part: opens[0].tokens has 400000 bytes") == 0);
}

TEST_CASE("a list of 8-byte elements may start at any word") {
    // The sanitizer build sees whether such a list is read as if it were aligned.
    for (std::size_t padding = 0; padding < 4; ++padding) {
        flatbuffers::FlatBufferBuilder builder;
        builder.CreateVector(std::vector<std::uint32_t>(8 + padding, 0));
        const auto words = builder.CreateVector(std::vector<std::uint32_t>{7, 0});
        wire::PartBuilder part(builder);
        part.add_releases(flatbuffers::Offset<flatbuffers::Vector<std::uint64_t>>(words.o));
        const auto body = part.Finish().Union();
        wire::FinishEnvelopeBuffer(builder, wire::CreateEnvelope(builder, wire::Body::Part, body));
        const auto* first = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
        const auto decoded = decode_message(ByteSpan(first, builder.GetSize()));
        REQUIRE(decoded);
        CHECK(std::get<Part>(decoded.value()).releases.at(0) == SequenceId(7));
    }
}

TEST_CASE("a message of an older peer reads as defaults") {
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
