// Functions that read any kind of part.
// They are in one place, so that callers need not know which alternative has which field.
// Relies only on the alternatives of the variants.
#include "work/part.h"

#include <algorithm>

#include "work/retired_part.h"

namespace molink {

std::vector<RowSpan> spans_of(const PartRows& rows) {
    std::vector<RowSpan> spans;
    for_each_sequence(rows, [&](const auto& item) { spans.push_back(span_of(item)); });
    return spans;
}

std::int32_t count_rows(const std::vector<RowSpan>& spans) {
    std::int32_t count = 0;
    for (const RowSpan& span : spans) count += span.count;
    return count;
}

void add_row_fault(std::vector<RowFault>& faults, std::span<const RowSpan> spans, std::int32_t row,
                   std::uint32_t stage, RowFaultKind kind) {
    for (const RowSpan& span : spans) {
        if (row < span.count) {
            add_fault(faults, {span.sequence, span.position + row, stage, kind});
            return;
        }
        row -= span.count;
    }
}

std::int32_t PartPlan::row_count() const {
    std::int32_t count = 0;
    for_each_sequence(rows, [&](const auto& item) { count += item.count(); });
    return count;
}

namespace {

const PartKey& key_in(const PartPlan& part) {
    return part.key;
}
const PartKey& key_in(const ForwardedPart& part) {
    return part.plan.key;
}
const PartKey& key_in(const ReturnedPart& part) {
    return part.key;
}
const PartKey& key_in(const RetiredPart& part) {
    return part.key;
}

}  // namespace

const PartKey& key_of(const StageInput& input) {
    return std::visit([](const auto& part) -> const PartKey& { return key_in(part); }, input);
}

const PartKey& key_of(const StageOutput& output) {
    return std::visit([](const auto& part) -> const PartKey& { return key_in(part); }, output);
}

const std::vector<RowFault>& faults_of(const StageOutput& output) {
    return std::visit([](const auto& part) -> const std::vector<RowFault>& { return part.faults; },
                      output);
}

PartKind kind_of(const StageInput& input) {
    if (const auto* plan = std::get_if<PartPlan>(&input)) return plan->kind();
    if (const auto* forwarded = std::get_if<ForwardedPart>(&input)) return forwarded->plan.kind();
    return std::get<ReturnedPart>(input).kind;
}

std::int32_t row_count(const StageInput& input) {
    if (const auto* plan = std::get_if<PartPlan>(&input)) return plan->row_count();
    if (const auto* forwarded = std::get_if<ForwardedPart>(&input)) {
        return forwarded->plan.row_count();
    }
    return std::get<ReturnedPart>(input).activations.rows;
}

bool is_returned(const StageInput& input) {
    return std::holds_alternative<ReturnedPart>(input);
}

bool is_urgent(const StageInput& input) {
    return is_returned(input) || kind_of(input) == PartKind::decode;
}

TokenFeedback feedback_of(const RetiredPart& retired) {
    TokenFeedback feedback;
    feedback.key = retired.key;
    for (const SampledRows& rows : retired.sampled) {
        if (rows.tokens.empty()) continue;
        feedback.accepted.push_back({rows.sequence, rows.position, rows.tokens});
    }
    for (const RowFault& fault : retired.faults) {
        const auto has_tokens = [&](const AcceptedTokens& accepted) {
            return accepted.sequence == fault.sequence;
        };
        if (std::any_of(feedback.accepted.begin(), feedback.accepted.end(), has_tokens)) continue;
        feedback.accepted.push_back({fault.sequence, fault.position + 1, {Token{0}}});
    }
    return feedback;
}

}  // namespace molink
