// Parts in flight, and the check of retired parts: drafts are kept up to the first one that differs
// from the sampled token.
#include "engine/flight.h"

#include "engine_samples.h"
#include "support/catch.h"

using namespace molink;
using test::waiting;

namespace {

constexpr std::int32_t kVocabulary = 50;

LaunchedPart part(std::uint64_t id, std::uint64_t step, PartKind kind, std::int32_t rows,
                  std::size_t sequences) {
    LaunchedPart made;
    made.key.id = PartId(id);
    made.key.step = StepId(step);
    made.kind = kind;
    made.row_count = rows;
    made.rows.resize(sequences);
    return made;
}

/// A decode part of one sequence at position 8 with three drafts, and the retired part.
struct Drafted {
    Drafted() {
        sequence.wire_id = SequenceId(4);
        launched = part(1, 1, PartKind::decode, 4, 0);
        launched.rows.push_back({&sequence, {SequenceId(4), 8, 4, 4}, {11, 12, 13}});
        retired.key = launched.key;
        retired.kind = PartKind::decode;
        retired.sampled.resize(1);
        retired.sampled[0].sequence = SequenceId(4);
        retired.sampled[0].position = 9;
    }
    Status check(std::vector<Token> tokens) {
        retired.sampled[0].tokens = std::move(tokens);
        return check_retired(retired, launched, {2, kVocabulary});
    }

    Sequence sequence = waiting(1, 8, 10);
    LaunchedPart launched;
    RetiredPart retired;
};

}  // namespace

TEST_CASE("counts leave out the parts that are planned on") {
    Flight flight;
    flight.add(part(1, 1, PartKind::decode, 3, 2));
    flight.add(part(2, 1, PartKind::prefill, 16, 1));
    flight.add(part(3, 2, PartKind::decode, 1, 1));
    REQUIRE(flight.steps() == 2);
    REQUIRE(flight.decode_parts() == 2);
    REQUIRE(flight.decoding_sequences() == 3);
    REQUIRE(flight.prefill_parts() == 1);
    REQUIRE(flight.prefill_rows() == 16);
    flight.plan_on(*flight.find(PartId(3)));
    REQUIRE(flight.steps() == 1);
    REQUIRE(flight.decode_parts() == 1);
    REQUIRE(flight.parts() == 3);
    REQUIRE(flight.remove(PartId(3)).planned_on);
    REQUIRE(flight.decode_parts() == 1);
    flight.remove(PartId(1));
    REQUIRE(flight.steps() == 1);  // its prefill part is in flight
    flight.remove(PartId(2));
    REQUIRE(flight.steps() == 0);
    REQUIRE(flight.find(PartId(2)) == nullptr);
}

TEST_CASE("a retired part has one token more than drafts that were kept") {
    Drafted drafted;
    REQUIRE(drafted.launched.has_drafts());
    CHECK(drafted.check({20}).ok());
    CHECK(drafted.check({11, 20}).ok());
    CHECK(drafted.check({11, 12, 13, 20}).ok());
    CHECK(drafted.check({11, 12, 13, 13}).ok());
}

TEST_CASE("a retired part that keeps a wrong draft or drops a right one is refused") {
    Drafted drafted;
    CHECK(drafted.check({}).code() == StatusCode::data_loss);
    CHECK(drafted.check({11}).code() == StatusCode::data_loss);      // the draft was right
    CHECK(drafted.check({20, 12}).code() == StatusCode::data_loss);  // a token after a wrong draft
    CHECK(drafted.check({11, 12, 13, 14, 15}).code() == StatusCode::data_loss);
    CHECK(drafted.check({11, 12, 13, kVocabulary}).code() == StatusCode::data_loss);
    const Status wrong = drafted.check({20, 12});
    CHECK(wrong.message().find("token 0 is 20, its draft was 11") != std::string::npos);
}

TEST_CASE("hashes cover the rows up to the last token that counts") {
    Drafted drafted;
    AdmittedRequest request = *drafted.sequence.request;
    request.hash_logits = true;
    drafted.sequence.request = std::make_shared<const AdmittedRequest>(std::move(request));
    drafted.retired.sampled[0].logit_hashes = {1, 2};
    CHECK(drafted.check({11, 20}).ok());
    CHECK(drafted.check({20}).code() == StatusCode::data_loss);
    drafted.sequence.logit_hashes = std::vector<std::uint64_t>(12, 0);
    drafted.sequence.logit_hashes[9] = 3;
    const Status twice = drafted.check({11, 20});
    CHECK(twice.message().find("position 9") != std::string::npos);
}

TEST_CASE("a fault comes with exactly the tokens before it") {
    Drafted drafted;
    drafted.retired.faults = {{SequenceId(4), 10, 1, RowFaultKind::logits}};
    CHECK(drafted.check({11, 12}).ok());
    CHECK(drafted.check({11}).message() ==
          "part 1 sampled 1 tokens for sequence 1; 2 to 2 were asked for");
    CHECK_FALSE(drafted.check({11, 12, 13}).ok());
    CHECK_FALSE(drafted.check({11, 20}).ok());  // behind a wrong draft nothing is looked at
    drafted.retired.faults[0].position = 8;
    CHECK(drafted.check({}).ok());
    drafted.retired.sampled.clear();
    CHECK(check_retired(drafted.retired, drafted.launched, {2, kVocabulary}).ok());
}

TEST_CASE("a fault must name a row that was launched, and a stage of the ring") {
    Drafted drafted;
    const auto refusal = [&](const RowFault& fault) {
        drafted.retired.faults = {fault};
        const Status status = drafted.check({});
        CHECK(status.code() == StatusCode::data_loss);
        return status.message();
    };
    CHECK(refusal({SequenceId(4), 7, 1, RowFaultKind::hidden}) ==
          "part 1 reports a fault of stage 1 at position 7 of sequence 4; no such row was launched "
          "to 2 stages");
    CHECK(refusal({SequenceId(4), 12, 1, RowFaultKind::hidden}).find("no such row") !=
          std::string::npos);
    CHECK(refusal({SequenceId(5), 8, 1, RowFaultKind::hidden}).find("no such row") !=
          std::string::npos);
    CHECK(refusal({SequenceId(4), 8, 2, RowFaultKind::hidden}).find("no such row") !=
          std::string::npos);
}
