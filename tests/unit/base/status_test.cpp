// Status, Result, and the names of status codes and finish reasons.
#include <molink/request.h>
#include <molink/status.h>
#include <molink/types.h>

#include <set>
#include <string>

#include "base/error.h"
#include "support/catch.h"

namespace molink {
namespace {

Result<int> half_of(int value) {
    if (value % 2 != 0) return invalid_argument("halve {}: it is odd", value);
    return value / 2;
}

Result<int> quarter_of(int value) {
    MOLINK_ASSIGN_OR_RETURN(const int half, half_of(value));
    MOLINK_RETURN_IF_ERROR(half_of(half).status());
    return half / 2;
}

}  // namespace

TEST_CASE("status carries code, message and context") {
    CHECK(Status().ok());
    CHECK(Status().to_string() == "ok");
    CHECK(Status().with_context("x").ok());
    const Status status = make_error(StatusCode::not_found, "no tensor {}", "q");
    CHECK(status.with_context("load").to_string() == "not_found: load: no tensor q");
}

TEST_CASE("a result holds a value or an error, and errors are passed to the caller") {
    CHECK(quarter_of(8).value() == 2);
    CHECK(quarter_of(8).status().ok());
    CHECK(quarter_of(7).error().message() == "halve 7: it is odd");
    CHECK(quarter_of(6).error().message() == "halve 3: it is odd");
    CHECK_THROWS_AS(quarter_of(6).value(), std::bad_variant_access);
}

TEST_CASE("every enumerator has a name of its own") {
    std::set<std::string_view> names;
    for (int i = 0; i <= 10; ++i) names.insert(status_code_name(static_cast<StatusCode>(i)));
    CHECK(names.size() == 11);
    CHECK(names.count("unknown") == 0);
    names.clear();
    for (int i = 0; i <= 4; ++i) names.insert(data_type_name(static_cast<DataType>(i)));
    for (int i = 0; i <= 4; ++i) names.insert(finish_reason_name(static_cast<FinishReason>(i)));
    for (int i = 0; i <= 4; ++i) names.insert(lane_name(static_cast<Lane>(i)));
    CHECK(names.size() == 15);
    CHECK(names.count("unknown") == 0);
    CHECK(status_code_name(static_cast<StatusCode>(99)) == "unknown");
    CHECK(finish_reason_name(static_cast<FinishReason>(99)) == "unknown");
}

}  // namespace molink
