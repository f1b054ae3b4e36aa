// Keys, the switch of the status pages and origins of web pages.
#include "serve/access.h"

#include <fstream>

#include "support/catch.h"
#include "support/temp_dir.h"

using namespace molink;
using namespace molink::examples;

namespace {

const std::string kKey = "0123456789abcdef-one";

AccessRules rules_with(const std::vector<std::string>& keys, StatusAccess status) {
    AccessRules rules;
    auto loaded = ApiKeys::load(keys);
    REQUIRE(loaded.has_value());
    rules.keys = std::move(*loaded);
    rules.status = status;
    return rules;
}

HttpRequest request_with(const std::string& authorization, bool loopback = false) {
    HttpRequest request;
    request.method = "GET";
    request.path = "/metrics";
    request.from_loopback = loopback;
    if (!authorization.empty()) request.fields.push_back({"authorization", authorization});
    return request;
}

int status_of(const AccessRules& rules, const HttpRequest& request, Route route) {
    const auto error = check_access(rules, request, route);
    return error ? error->status : 200;
}

std::string field_of(const HttpReply& reply, const std::string& name) {
    for (const HttpField& field : reply.fields) {
        if (field.name == name) return field.value;
    }
    return {};
}

}  // namespace

TEST_CASE("keys come from a file or the command line, and wrong ones are refused") {
    TempDir dir;
    const std::string file = dir.string() + "/keys";
    std::ofstream(file) << "# clients\n\n  " << kKey << "  \r\nanother-key-0123456789\n";
    const auto keys = ApiKeys::load({file, "on-the-command-line"});
    REQUIRE(keys.has_value());
    REQUIRE(keys->accepts(kKey));
    REQUIRE(keys->accepts("another-key-0123456789"));
    REQUIRE(keys->accepts("on-the-command-line"));
    for (const std::string& wrong :
         {std::string(), kKey.substr(1), kKey + "x", std::string("# clients"), file}) {
        INFO(wrong);
        REQUIRE_FALSE(keys->accepts(wrong));
    }
    std::ofstream(dir.string() + "/none") << "# nothing\n";
    for (const std::string& entry :
         {std::string("keys.txt"), dir.string() + "/missing", dir.string() + "/none",
          std::string("has a space in its middle"), dir.string()}) {
        INFO(entry);
        REQUIRE(ApiKeys::load({entry}).status().code() == StatusCode::invalid_argument);
    }
    REQUIRE(ApiKeys::load({}).value().empty());
}

TEST_CASE("with keys, the models and completions need one, and health does not") {
    const AccessRules rules = rules_with({kKey}, StatusAccess::key);
    for (Route route :
         {Route::models, Route::model, Route::completions, Route::metrics, Route::cluster}) {
        REQUIRE(status_of(rules, request_with(""), route) == 401);
        REQUIRE(status_of(rules, request_with("", true), route) == 401);
        REQUIRE(status_of(rules, request_with("Bearer wrong-key-0123456789"), route) == 401);
        REQUIRE(status_of(rules, request_with("Basic " + kKey), route) == 401);
        REQUIRE(status_of(rules, request_with("bearer   " + kKey), route) == 200);
    }
    for (Route route : {Route::live, Route::ready, Route::health}) {
        REQUIRE(status_of(rules, request_with(""), route) == 200);
    }
    REQUIRE(error_reply(*check_access(rules, request_with(""), Route::models)).status == 401);
}

TEST_CASE("the status pages have a switch of their own") {
    const AccessRules local = rules_with({}, StatusAccess::local);
    REQUIRE(status_of(local, request_with("", true), Route::metrics) == 200);
    REQUIRE(status_of(local, request_with(""), Route::metrics) == 403);
    REQUIRE(status_of(local, request_with(""), Route::completions) == 200);
    const AccessRules keyed = rules_with({kKey}, StatusAccess::local);
    REQUIRE(status_of(keyed, request_with("", true), Route::cluster) == 200);
    REQUIRE(status_of(keyed, request_with(""), Route::cluster) == 401);
    REQUIRE(status_of(keyed, request_with("Bearer " + kKey), Route::cluster) == 200);
    const AccessRules open = rules_with({kKey}, StatusAccess::open);
    REQUIRE(status_of(open, request_with(""), Route::metrics) == 200);
    const AccessRules off = rules_with({kKey}, StatusAccess::off);
    REQUIRE(status_of(off, request_with("Bearer " + kKey, true), Route::metrics) == 404);
    REQUIRE(parse_status_access("open").value() == StatusAccess::open);
    REQUIRE_FALSE(parse_status_access("yes").has_value());
}

TEST_CASE("only pages of the named origins may read answers") {
    AccessRules rules;
    HttpRequest request = request_with("");
    request.fields.push_back({"origin", "https://a.example"});
    HttpReply none;
    add_cors_fields(rules, request, none);
    REQUIRE(none.fields.empty());
    rules.origins = {"https://a.example"};
    HttpReply reply;
    add_cors_fields(rules, request, reply);
    REQUIRE(field_of(reply, "Access-Control-Allow-Origin") == "https://a.example");
    REQUIRE(field_of(reply, "Access-Control-Allow-Methods").empty());
    request.method = "OPTIONS";
    HttpReply asked;
    add_cors_fields(rules, request, asked);
    REQUIRE(field_of(asked, "Access-Control-Allow-Headers").find("Authorization") == 0);
    request.fields.back().value = "https://b.example";
    HttpReply other;
    add_cors_fields(rules, request, other);
    REQUIRE(field_of(other, "Access-Control-Allow-Origin").empty());
    rules.origins = {"*"};
    HttpReply all;
    add_cors_fields(rules, request, all);
    REQUIRE(field_of(all, "Access-Control-Allow-Origin") == "*");
}
