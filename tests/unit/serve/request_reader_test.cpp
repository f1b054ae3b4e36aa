// The reader of requests: limits, what is refused because two parsers could differ, and equal
// results for bytes that arrive in any portions.
#include "http/request_reader.h"

#include "support/catch.h"

using namespace molink::examples;

namespace {

constexpr std::size_t kBudget = 1u << 20;

struct Outcome {
    RequestReader::Step step = RequestReader::Step::more;
    HttpRequest request;
    HttpFault fault;
    std::string rest;  // input behind the request
};

/// Feeds the bytes in portions of `portion`, as a connection does.
Outcome read(const std::string& bytes, std::size_t portion, HttpLimits limits = {}) {
    Outcome outcome;
    RequestReader reader(limits, std::make_shared<BodyBudget>(kBudget));
    std::string waiting;
    std::size_t at = 0;
    while (true) {
        std::size_t used = 0;
        outcome.step = reader.feed(waiting, used);
        waiting.erase(0, used);
        if (outcome.step == RequestReader::Step::head) continue;
        if (outcome.step != RequestReader::Step::more || at == bytes.size()) break;
        waiting += bytes.substr(at, portion);
        at = std::min(at + portion, bytes.size());
    }
    outcome.request = std::move(reader.request());
    outcome.fault = reader.fault();
    outcome.rest = waiting + bytes.substr(at);
    return outcome;
}

/// Returns the outcome, which is the same for every size of the portions.
Outcome read_any(const std::string& bytes, const HttpLimits& limits = {}) {
    const Outcome whole = read(bytes, bytes.size() + 1, limits);
    for (std::size_t portion : {1u, 2u, 3u, 7u}) {
        const Outcome parts = read(bytes, portion, limits);
        INFO(bytes.substr(0, 200) << " in portions of " << portion);
        REQUIRE(parts.step == whole.step);
        REQUIRE(parts.fault.status == whole.fault.status);
        if (whole.step == RequestReader::Step::done) {
            REQUIRE(parts.request.body == whole.request.body);
            REQUIRE(parts.request.fields.size() == whole.request.fields.size());
            REQUIRE(parts.rest == whole.rest);
        }
    }
    return whole;
}

int status_of(const std::string& bytes, const HttpLimits& limits = {}) {
    const Outcome outcome = read_any(bytes, limits);
    REQUIRE(outcome.step == RequestReader::Step::bad);
    REQUIRE_FALSE(outcome.fault.message.empty());
    return outcome.fault.status;
}

std::string post(const std::string& fields, const std::string& body = {}) {
    return "POST /a HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + body;
}

}  // namespace

TEST_CASE("requests are read with and without a body, and the next one stays") {
    const Outcome get = read_any("\r\nGET /a//b/?c=d HTTP/1.1\r\nHost: h\r\nX-Y:  z \r\n\r\nGET /");
    REQUIRE(get.step == RequestReader::Step::done);
    REQUIRE(get.request.method == "GET");
    REQUIRE(get.request.path == "/a/b");
    REQUIRE(*get.request.find("x-y") == "z");
    REQUIRE(get.request.keep_alive);
    REQUIRE(get.rest == "GET /");

    const Outcome length = read_any(post("Content-Length: 5\r\n", "helloPOST"));
    REQUIRE(length.request.body == "hello");
    REQUIRE(length.rest == "POST");

    const Outcome chunked = read_any(
        post("Transfer-Encoding: chunked\r\n", "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: v\r\n\r\nrest"));
    REQUIRE(chunked.step == RequestReader::Step::done);
    REQUIRE(chunked.request.body == "hello");
    REQUIRE(chunked.request.find("t") == nullptr);  // trailers are dropped
    REQUIRE(chunked.rest == "rest");

    const Outcome old = read_any("GET / HTTP/1.0\r\n\r\n");
    REQUIRE(old.step == RequestReader::Step::done);
    REQUIRE_FALSE(old.request.keep_alive);
    REQUIRE(read_any("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").request.keep_alive);
    REQUIRE(read_any(post("Expect: 100-continue\r\nContent-Length: 1\r\n", "x"))
                .request.expects_continue);
    REQUIRE(read_any("GET /a HTTP/1.1\r\nHost: h").step == RequestReader::Step::more);
}

TEST_CASE("what two parsers could understand differently is refused") {
    for (const char* fields : {
             "Content-Length: 5\r\nContent-Length: 6\r\n",
             "Content-Length: 5\r\nContent-Length: 5\r\n",
             "Content-Length: 5, 5\r\n",
             "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
             "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
             "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
             "Transfer-Encoding: gzip, chunked\r\n",
             "Transfer-Encoding: gzip\r\n",
             "Transfer-Encoding: chunked, identity\r\n",
             "Transfer-Encoding: xchunked\r\n",
             "Content-Length: -1\r\n",
             "Content-Length: +5\r\n",
             "Content-Length: 0x5\r\n",
             "Content-Length: 5 5\r\n",
             "Content-Length:\r\n",
             "Content-Length : 5\r\n",
             "Content-Length: 99999999999999999999\r\n",
             "X: a\r\n b\r\n",
             "X: a\r\n\tb\r\n",
             "Host: other\r\n",
             "X\r\n",
             "X: a\x01\r\n",
             "X: a\nY: b\r\n",
         }) {
        INFO(fields);
        REQUIRE(status_of(post(fields, "0\r\n\r\n")) == 400);
    }
    REQUIRE(status_of("GET / HTTP/1.1\r\n\r\n") == 400);  // no Host
    REQUIRE(status_of("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
    REQUIRE(status_of("GET / HTTP/2.0\r\nHost: h\r\n\r\n") == 505);
    REQUIRE(status_of("GET  / HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
    REQUIRE(status_of("GET / HTTP/1.1\nHost: h\n\n") == 400);
    REQUIRE(status_of("GET a HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
    REQUIRE(status_of("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
    REQUIRE(status_of("\x16\x03\x01\x02") == 400);  // TLS on a plain port
    REQUIRE(status_of(post("Expect: something\r\nContent-Length: 1\r\n", "x")) == 417);
    for (const char* body : {"x\r\n\r\n", "5\r\nhelloXY\r\n", "-1\r\n", "3\nhel\r\n",
                             "fffffffffffffffff\r\n", " 3\r\nhel\r\n0\r\n\r\n"}) {
        INFO(body);
        REQUIRE(status_of(post("Transfer-Encoding: chunked\r\n", body)) == 400);
    }
}

TEST_CASE("line, head, fields and body are bounded") {
    HttpLimits limits;
    limits.request_line_bytes = 100;
    limits.head_bytes = 400;
    limits.fields = 5;
    limits.body_bytes = 50;
    limits.chunk_line_bytes = 60;
    const std::string host = " HTTP/1.1\r\nHost: h\r\n\r\n";
    REQUIRE(read_any("GET /" + std::string(80, 'a') + host, limits).step ==
            RequestReader::Step::done);
    REQUIRE(status_of("GET /" + std::string(100, 'a') + host, limits) == 414);
    REQUIRE(status_of("GET /" + std::string(5000, 'a'), limits) == 414);
    REQUIRE(status_of(post("X: " + std::string(400, 'x') + "\r\n"), limits) == 431);
    REQUIRE(status_of(post("X: " + std::string(5000, 'x')), limits) == 431);
    REQUIRE(status_of(post("A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\n"), limits) == 431);
    REQUIRE(status_of(post("Content-Length: 51\r\n"), limits) == 413);
    const std::string chunks = "Transfer-Encoding: chunked\r\n";
    REQUIRE(status_of(post(chunks, "33\r\n"), limits) == 413);
    std::string many;
    for (int i = 0; i < 60; ++i) many += "1\r\nx\r\n";
    REQUIRE(status_of(post(chunks, many), limits) == 413);
    REQUIRE(status_of(post(chunks, "1;" + std::string(200, 'x')), limits) == 400);
    REQUIRE(status_of(post(chunks, "0\r\nT: " + std::string(200, 'x')), limits) == 400);
}

TEST_CASE("all bodies share a budget, and a request that is gone gives its share back") {
    const auto budget = std::make_shared<BodyBudget>(10);
    const HttpLimits limits;
    std::size_t used = 0;
    const std::string head = post("Content-Length: 8\r\n");
    HttpRequest held;
    {
        RequestReader first(limits, budget);
        REQUIRE(first.feed(head, used) == RequestReader::Step::head);
        REQUIRE(first.feed("12345678", used) == RequestReader::Step::done);
        held = std::move(first.request());
    }
    REQUIRE(budget->left() == 2);
    {
        RequestReader second(limits, budget);
        REQUIRE(second.feed(head, used) == RequestReader::Step::head);
        REQUIRE(second.feed("12345678", used) == RequestReader::Step::bad);
        REQUIRE(second.fault().status == 503);
    }
    REQUIRE(budget->left() == 2);
    held = HttpRequest();
    REQUIRE(budget->left() == 10);
}

TEST_CASE("paths are decoded and lose doubled slashes") {
    REQUIRE(path_of("/v1/completions") == "/v1/completions");
    REQUIRE(path_of("//v1///completions/?x=/y") == "/v1/completions");
    REQUIRE(path_of("http://host:80/v1/models/a%2Fb%20c") == "/v1/models/a/b c");
    REQUIRE(path_of("http://host") == "/");
    REQUIRE(path_of("/") == "/");
    REQUIRE(path_of("*") == "*");
    REQUIRE_FALSE(path_of("v1").has_value());
    REQUIRE_FALSE(path_of("").has_value());
    REQUIRE_FALSE(path_of("/%0").has_value());
    REQUIRE_FALSE(path_of("/%00").has_value());
}
