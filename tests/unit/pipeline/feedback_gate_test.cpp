// Parts without tokens and tokens without parts meet in the gate, whichever comes first.
#include "pipeline/feedback_gate.h"

#include <limits>
#include <string>

#include "support/catch.h"

using namespace molink;

namespace {

SequenceRun row(std::uint64_t sequence, std::int32_t position, std::vector<Token> tokens = {}) {
    SequenceRun run;
    run.id = SequenceId(sequence);
    run.position = position;
    run.count = 1;
    run.tokens = std::move(tokens);
    run.sample_count = 1;
    return run;
}

Part decode_part(std::uint64_t id, std::vector<SequenceRun> runs) {
    Part part;
    part.id = PartId(id);
    part.kind = PartKind::decode;
    part.runs = std::move(runs);
    return part;
}

Retire sampled(std::vector<SampledRun> runs) {
    Retire retire;
    retire.part = PartId(77);
    retire.sampled = std::move(runs);
    return retire;
}

SampledRun token(std::uint64_t sequence, std::int32_t position, Token value) {
    return {SequenceId(sequence), position, {value}, {}, {}};
}

/// A gate that has seen the sequences 1 to 9 being opened.
FeedbackGate opened() {
    FeedbackGate gate;
    Part part;
    part.kind = PartKind::prefill;
    for (std::uint64_t id = 1; id < 10; ++id) {
        SequenceOpen open;
        open.id = SequenceId(id);
        part.opens.push_back(open);
    }
    REQUIRE(gate.pass(part).has_value());
    return gate;
}

bool passes(FeedbackGate& gate, Part& part) {
    const auto passed = gate.pass(part);
    REQUIRE(passed.has_value());
    return *passed;
}

/// What the gate says of a part that it does not take.
std::string refusal(FeedbackGate& gate, Part part) {
    const auto passed = gate.pass(part);
    REQUIRE_FALSE(passed.has_value());
    REQUIRE(passed.error().code() == StatusCode::data_loss);
    return passed.error().message();
}

std::vector<Part> take(FeedbackGate& gate, const Retire& tokens) {
    auto parts = gate.take(tokens);
    REQUIRE(parts.has_value());
    return std::move(*parts);
}

}  // namespace

TEST_CASE("what lacks nothing passes") {
    FeedbackGate gate = opened();
    Part known = decode_part(1, {row(1, 5, {42})});
    REQUIRE(passes(gate, known));
    Part prompt = decode_part(2, {row(2, 0)});
    prompt.kind = PartKind::prefill;  // its tokens were told when the sequence was opened
    REQUIRE(passes(gate, prompt));
    REQUIRE(gate.waiting() == 0);
}

TEST_CASE("a token that comes first is put in, one that comes later completes the part") {
    FeedbackGate gate = opened();
    REQUIRE(take(gate, sampled({token(1, 5, 42)})).empty());
    Part part = decode_part(1, {row(1, 5), row(2, 9), row(3, 3, {7})});
    REQUIRE_FALSE(passes(gate, part));
    REQUIRE(gate.waiting() == 1);
    REQUIRE(take(gate, sampled({token(2, 8, 1)})).empty());  // of another position
    const std::vector<Part> parts = take(gate, sampled({token(2, 9, 43)}));
    REQUIRE(parts.size() == 1);
    REQUIRE(parts[0].runs[0].tokens == std::vector<Token>{42});
    REQUIRE(parts[0].runs[1].tokens == std::vector<Token>{43});
    REQUIRE(parts[0].runs[2].tokens == std::vector<Token>{7});
    REQUIRE(gate.waiting() == 0);
}

TEST_CASE("parts that one message completes leave in the order they came") {
    FeedbackGate gate = opened();
    for (std::uint64_t i = 1; i <= 4; ++i) {
        Part part = decode_part(i, {row(5 - i, 10)});
        REQUIRE_FALSE(passes(gate, part));
    }
    const auto parts = take(gate, sampled({token(1, 10, 1), token(2, 10, 2), token(4, 10, 4)}));
    REQUIRE(parts.size() == 3);
    REQUIRE(parts[0].id == PartId(1));
    REQUIRE(parts[1].id == PartId(3));
    REQUIRE(parts[2].id == PartId(4));
    REQUIRE(gate.waiting() == 1);
}

TEST_CASE("a sequence waits in two parts at most") {
    FeedbackGate gate = opened();
    for (std::int32_t i = 0; i < 2; ++i) {
        Part part = decode_part(1, {row(1, 10 + i)});
        REQUIRE_FALSE(passes(gate, part));
    }
    REQUIRE(refusal(gate, decode_part(9, {row(1, 12)})) ==
            "part 9: sequence 1 waits for tokens in 2 parts already");
}

TEST_CASE("tokens go with their sequence, and with the epoch") {
    FeedbackGate gate = opened();
    REQUIRE(take(gate, sampled({token(1, 5, 42), token(2, 6, 43)})).empty());
    Part release = decode_part(1, {row(3, 1, {1})});
    release.releases = {SequenceId(1)};
    REQUIRE(passes(gate, release));
    REQUIRE(gate.open() == 8);
    REQUIRE(refusal(gate, decode_part(2, {row(1, 5)})) ==
            "part 2: sequence 1 waits for a token and is not open");
    gate.reset();
    REQUIRE(gate.open() == 0);
    REQUIRE(gate.waiting() == 0);
    REQUIRE_FALSE(refusal(gate, decode_part(3, {row(2, 6)})).empty());
}

TEST_CASE("a token that comes after its sequence's release is not kept") {
    FeedbackGate gate = opened();
    for (std::uint64_t id = 1; id < 10; ++id) {
        Part part = decode_part(id, {row(20, 1, {1})});
        part.releases = {SequenceId(id)};
        REQUIRE(passes(gate, part));
        REQUIRE(take(gate, sampled({token(id, 5, 42)})).empty());
        REQUIRE(gate.open() == 9 - id);
    }
}

TEST_CASE("a token is waited for once, and what is refused leaves nothing behind") {
    FeedbackGate gate = opened();
    REQUIRE(refusal(gate, decode_part(1, {row(2, 3), row(1, 10), row(1, 10)})) ==
            "part 1: sequence 1 waits for its token at 10 already");
    REQUIRE(take(gate, sampled({token(1, 10, 1), token(2, 3, 1)})).empty());
    Part part = decode_part(2, {row(1, 11)});
    REQUIRE_FALSE(passes(gate, part));
    REQUIRE(refusal(gate, decode_part(3, {row(1, 11)})) ==
            "part 3: sequence 1 waits for its token at 11 already");
    REQUIRE(take(gate, sampled({token(1, 11, 1)})).size() == 1);
    REQUIRE(gate.waiting() == 0);
}

TEST_CASE("the last of all sequence ids waits like any other") {
    FeedbackGate gate = opened();
    constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();
    Part other = decode_part(1, {row(1, 5)});
    REQUIRE_FALSE(passes(gate, other));
    Part last = decode_part(2, {row(kLast, 5)});
    last.opens.resize(1);
    last.opens[0].id = SequenceId(kLast);
    REQUIRE_FALSE(passes(gate, last));
    REQUIRE(take(gate, sampled({token(1, 5, 1), token(kLast, 5, 1)})).size() == 2);
}

TEST_CASE("a run of no token or of several is refused") {
    FeedbackGate gate = opened();
    for (const std::vector<Token>& tokens : {std::vector<Token>{}, std::vector<Token>{1, 2}}) {
        const auto parts = gate.take(sampled({{SequenceId(1), 5, tokens, {}, {}}}));
        REQUIRE_FALSE(parts.has_value());
        REQUIRE(parts.error().code() == StatusCode::data_loss);
    }
}
