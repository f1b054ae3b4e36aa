// The feedback gate joins parts that lack tokens with tokens that come before or after them.
#include "pipeline/feedback_gate.h"

#include <limits>
#include <string>

#include "support/catch.h"

using namespace molink;

namespace {

DecodeRows row(std::uint64_t sequence, std::int32_t position,
               std::optional<Token> token = std::nullopt) {
    DecodeRows rows;
    rows.sequence = SequenceId(sequence);
    rows.position = position;
    rows.token = token;
    return rows;
}

PartPlan decode_part(std::uint64_t id, std::vector<DecodeRows> rows) {
    PartPlan plan;
    plan.key.id = PartId(id);
    plan.rows = std::move(rows);
    return plan;
}

const DecodeRows& row_of(const PartPlan& plan, std::size_t index) {
    return std::get<std::vector<DecodeRows>>(plan.rows)[index];
}

TokenFeedback feedback(std::vector<AcceptedTokens> accepted) {
    return {{{}, StepId(0), PartId(77)}, std::move(accepted)};
}

AcceptedTokens token(std::uint64_t sequence, std::int32_t position, Token value) {
    return {SequenceId(sequence), position, {value}};
}

/// Returns a gate in which the sequences 1 to 9 are open.
FeedbackGate opened() {
    FeedbackGate gate;
    PartPlan part;
    part.rows = std::vector<PrefillRows>();
    for (std::uint64_t id = 1; id < 10; ++id) {
        SequenceOpen open;
        open.id = SequenceId(id);
        part.opens.push_back(open);
    }
    REQUIRE(gate.pass(part).has_value());
    return gate;
}

bool passes(FeedbackGate& gate, PartPlan& part) {
    const auto passed = gate.pass(part);
    REQUIRE(passed.has_value());
    return *passed;
}

/// Returns the error of a part that the gate refuses.
std::string refusal(FeedbackGate& gate, PartPlan part) {
    const auto passed = gate.pass(part);
    REQUIRE_FALSE(passed.has_value());
    REQUIRE(passed.error().code() == StatusCode::data_loss);
    return passed.error().message();
}

}  // namespace

TEST_CASE("a part that lacks no token passes") {
    FeedbackGate gate = opened();
    PartPlan known = decode_part(1, {row(1, 5, 42)});
    REQUIRE(passes(gate, known));
    PartPlan prompt = decode_part(2, {});
    prompt.rows = std::vector<PrefillRows>{{SequenceId(2), 0, 8, false, {}}};
    REQUIRE(passes(gate, prompt));
    REQUIRE(gate.waiting() == 0);
}

TEST_CASE("an early token is filled in, and a late one completes the part") {
    FeedbackGate gate = opened();
    REQUIRE(gate.deliver(feedback({token(1, 5, 42)})).empty());
    PartPlan part = decode_part(1, {row(1, 5), row(2, 9), row(3, 3, 7)});
    REQUIRE_FALSE(passes(gate, part));
    REQUIRE(gate.waiting() == 1);
    REQUIRE(gate.deliver(feedback({token(2, 8, 1)})).empty());  // at another position
    const std::vector<PartPlan> parts = gate.deliver(feedback({token(2, 9, 43)}));
    REQUIRE(parts.size() == 1);
    REQUIRE(row_of(parts[0], 0).token == 42);
    REQUIRE(row_of(parts[0], 1).token == 43);
    REQUIRE(row_of(parts[0], 2).token == 7);
    REQUIRE(gate.waiting() == 0);
}

TEST_CASE("parts that one message completes leave in the order of arrival") {
    FeedbackGate gate = opened();
    for (std::uint64_t i = 1; i <= 4; ++i) {
        PartPlan part = decode_part(i, {row(5 - i, 10)});
        REQUIRE_FALSE(passes(gate, part));
    }
    const auto parts = gate.deliver(feedback({token(1, 10, 1), token(2, 10, 2), token(4, 10, 4)}));
    REQUIRE(parts.size() == 3);
    REQUIRE(parts[0].key.id == PartId(1));
    REQUIRE(parts[1].key.id == PartId(3));
    REQUIRE(parts[2].key.id == PartId(4));
    REQUIRE(gate.waiting() == 1);
}

TEST_CASE("a sequence waits in at most two parts") {
    FeedbackGate gate = opened();
    for (std::int32_t i = 0; i < 2; ++i) {
        PartPlan part = decode_part(1, {row(1, 10 + i)});
        REQUIRE_FALSE(passes(gate, part));
    }
    REQUIRE(refusal(gate, decode_part(9, {row(1, 12)})) ==
            "part 9: sequence 1 already waits for tokens in 2 parts");
}

TEST_CASE("tokens are dropped with their sequence and with the epoch") {
    FeedbackGate gate = opened();
    REQUIRE(gate.deliver(feedback({token(1, 5, 42), token(2, 6, 43)})).empty());
    PartPlan release = decode_part(1, {row(3, 1, 1)});
    release.releases = {SequenceId(1)};
    REQUIRE(passes(gate, release));
    REQUIRE(gate.open() == 8);
    REQUIRE(refusal(gate, decode_part(2, {row(1, 5)})) ==
            "part 2: sequence 1 waits for a token but is not open");
    gate.reset();
    REQUIRE(gate.open() == 0);
    REQUIRE(gate.waiting() == 0);
    REQUIRE_FALSE(refusal(gate, decode_part(3, {row(2, 6)})).empty());
}

TEST_CASE("a token that comes after the release of its sequence is dropped") {
    FeedbackGate gate = opened();
    for (std::uint64_t id = 1; id < 10; ++id) {
        PartPlan part = decode_part(id, {row(20, 1, 1)});
        part.releases = {SequenceId(id)};
        REQUIRE(passes(gate, part));
        REQUIRE(gate.deliver(feedback({token(id, 5, 42)})).empty());
        REQUIRE(gate.open() == 9 - id);
    }
}

TEST_CASE("only one part may wait for a token, and a refused part leaves nothing behind") {
    FeedbackGate gate = opened();
    REQUIRE(refusal(gate, decode_part(1, {row(2, 3), row(1, 10), row(1, 10)})) ==
            "part 1: sequence 1 already waits for its token at position 10");
    REQUIRE(gate.deliver(feedback({token(1, 10, 1), token(2, 3, 1)})).empty());
    PartPlan part = decode_part(2, {row(1, 11)});
    REQUIRE_FALSE(passes(gate, part));
    REQUIRE(refusal(gate, decode_part(3, {row(1, 11)})) ==
            "part 3: sequence 1 already waits for its token at position 11");
    REQUIRE(gate.deliver(feedback({token(1, 11, 1)})).size() == 1);
    REQUIRE(gate.waiting() == 0);
}

TEST_CASE("the highest sequence id works like any other") {
    FeedbackGate gate = opened();
    constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();
    PartPlan other = decode_part(1, {row(1, 5)});
    REQUIRE_FALSE(passes(gate, other));
    PartPlan last = decode_part(2, {row(kLast, 5)});
    last.opens.resize(1);
    last.opens[0].id = SequenceId(kLast);
    REQUIRE_FALSE(passes(gate, last));
    REQUIRE(gate.deliver(feedback({token(1, 5, 1), token(kLast, 5, 1)})).size() == 2);
}

TEST_CASE("the next row begins with the last of several accepted tokens") {
    FeedbackGate gate = opened();
    PartPlan next = decode_part(1, {row(1, 7)});
    REQUIRE_FALSE(passes(gate, next));
    const auto parts = gate.deliver(feedback({{SequenceId(1), 5, {10, 11, 12}}}));
    REQUIRE(parts.size() == 1);
    REQUIRE(row_of(parts[0], 0).token == 12);
    REQUIRE(gate.deliver(feedback({{SequenceId(2), 5, {20, 21}}})).empty());
    PartPlan later = decode_part(2, {row(2, 6)});
    REQUIRE(passes(gate, later));
    REQUIRE(row_of(later, 0).token == 21);
}
