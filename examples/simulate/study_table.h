#pragma once

#include <span>

#include <molink/study.h>

namespace molink::examples {

void print_study_header();
/// One row: the means of runs that differ in their seed alone. For several, a second one with the
/// halves of their 95 % intervals. Then how often the built-in policy stepped in, if it did.
void print_study_rows(std::span<const StudyReport> runs);
/// Every stage and link.
void print_study_details(const StudyReport& report);

}  // namespace molink::examples
