// Questions about parts of any kind: their rows, keys, urgency and sampled tokens.
#include "work/part.h"

#include "support/catch.h"
#include "work/retired_part.h"

using namespace molink;

namespace {

PartPlan decode_plan() {
    DecodeRows one;
    one.sequence = SequenceId(1);
    one.position = 7;
    one.token = 5;
    DecodeRows several = one;
    several.sequence = SequenceId(2);
    several.drafts = {8, 9, 10};
    PartPlan plan;
    plan.key = {{PipelineId(3), Epoch(2)}, StepId(4), PartId(5)};
    plan.rows = std::vector<DecodeRows>{one, several};
    return plan;
}

PartPlan prefill_plan() {
    PartPlan plan;
    plan.key.id = PartId(6);
    plan.rows = std::vector<PrefillRows>{{SequenceId(1), 16, 8, false, {}},
                                         {SequenceId(2), 0, 3, true, {}}};
    return plan;
}

}  // namespace

TEST_CASE("rows include drafts, and all rows of a decode part are sampled") {
    const PartPlan plan = decode_plan();
    CHECK(plan.kind() == PartKind::decode);
    CHECK(plan.row_count() == 5);
    const std::vector<RowSpan> spans = spans_of(plan.rows);
    CHECK(spans == std::vector<RowSpan>{{SequenceId(1), 7, 1, 1}, {SequenceId(2), 7, 4, 4}});
    CHECK(spans[1].end() == 11);
    CHECK(count_rows(spans) == 5);
}

TEST_CASE("the last row of a slice is sampled when the slice ends the prompt") {
    const PartPlan plan = prefill_plan();
    CHECK(plan.kind() == PartKind::prefill);
    CHECK(plan.row_count() == 11);
    CHECK(spans_of(plan.rows) ==
          std::vector<RowSpan>{{SequenceId(1), 16, 8, 0}, {SequenceId(2), 0, 3, 1}});
}

TEST_CASE("all inputs of a stage have a key, rows and urgency") {
    const PartPlan plan = decode_plan();
    ForwardedPart forwarded{plan, {}, {}};
    ReturnedPart returned;
    returned.key = plan.key;
    returned.kind = PartKind::prefill;
    returned.activations.rows = 2;
    CHECK(key_of(StageInput(plan)) == plan.key);
    CHECK(key_of(StageInput(forwarded)) == plan.key);
    CHECK(key_of(StageInput(returned)) == plan.key);
    CHECK(kind_of(StageInput(forwarded)) == PartKind::decode);
    CHECK(kind_of(StageInput(returned)) == PartKind::prefill);
    CHECK(row_count(StageInput(forwarded)) == 5);
    CHECK(row_count(StageInput(returned)) == 2);
    CHECK(is_urgent(StageInput(plan)));
    CHECK_FALSE(is_urgent(StageInput(prefill_plan())));
    CHECK(is_urgent(StageInput(returned)));
    CHECK(key_of(StageOutput(RetiredPart{plan.key, PartKind::decode, {}, {}})) == plan.key);
}

TEST_CASE("feedback to the first stage has the sampled tokens and nothing else") {
    RetiredPart retired;
    retired.key = decode_plan().key;
    retired.sampled = {{SequenceId(1), 8, {42}, {}, {1, 2}},
                       {SequenceId(2), 8, {}, {}, {3}},
                       {SequenceId(3), 2, {4, 5}, {}, {}}};
    const TokenFeedback feedback = feedback_of(retired);
    CHECK(feedback.key == retired.key);
    CHECK(feedback.accepted ==
          std::vector<AcceptedTokens>{{SequenceId(1), 8, {42}}, {SequenceId(3), 2, {4, 5}}});
}
