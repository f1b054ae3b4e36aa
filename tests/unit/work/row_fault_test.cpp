// Faults of rows: which one of a sequence is kept, and what is told.
#include "work/row_fault.h"

#include "support/catch.h"
#include "work/retired_part.h"

using namespace molink;

namespace {

constexpr RowFault fault(std::uint64_t sequence, std::int32_t position, std::uint32_t stage) {
    return {SequenceId(sequence), position, stage, RowFaultKind::hidden};
}

}  // namespace

TEST_CASE("of each sequence the earliest row is kept, as the first stage noticed it") {
    std::vector<RowFault> faults;
    add_fault(faults, fault(1, 9, 0));
    add_fault(faults, fault(2, 4, 0));
    add_fault(faults, fault(1, 9, 1));
    add_fault(faults, fault(2, 3, 1));
    add_fault(faults, fault(2, 5, 1));
    CHECK(faults == std::vector<RowFault>{fault(1, 9, 0), fault(2, 3, 1)});
    CHECK(find_fault(faults, SequenceId(2))->position == 3);
    CHECK(find_fault(faults, SequenceId(3)) == nullptr);
}

TEST_CASE("a row of a part belongs to the sequence and the position of its span") {
    const std::vector<RowSpan> spans{{SequenceId(1), 7, 2, 1}, {SequenceId(2), 30, 3, 0}};
    std::vector<RowFault> faults;
    for (const std::int32_t row : {1, 4, 5}) {
        add_row_fault(faults, spans, row, 6, RowFaultKind::range);
    }
    CHECK(faults == std::vector<RowFault>{{SequenceId(1), 8, 6, RowFaultKind::range},
                                          {SequenceId(2), 32, 6, RowFaultKind::range}});
}

TEST_CASE("the text names stage, layers and position") {
    RowFault row = fault(1, 12, 2);
    CHECK(describe_fault(row, {8, 12}) ==
          "stage 2 (layers 8-11) computed activations that are not finite numbers at position 12");
    row.kind = RowFaultKind::range;
    CHECK(describe_fault(row, {8, 12}) ==
          "stage 2 (layers 8-11) computed activations too large for the link at position 12");
    row.kind = RowFaultKind::logits;
    CHECK(describe_fault(row, {8, 12}) ==
          "stage 2 (layers 8-11) computed logits that are not finite numbers at position 12");
}

TEST_CASE("the first stage is told a token of every sequence that it may wait for") {
    RetiredPart retired;
    retired.sampled = {{SequenceId(1), 4, {7}, {}, {}}, {SequenceId(2), 9, {5}, {}, {}}};
    retired.faults = {fault(2, 9, 0), fault(3, 20, 1)};
    CHECK(feedback_of(retired).accepted == std::vector<AcceptedTokens>{{SequenceId(1), 4, {7}},
                                                                       {SequenceId(2), 9, {5}},
                                                                       {SequenceId(3), 21, {0}}});
}
