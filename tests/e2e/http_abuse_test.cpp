// Tests what hostile, slow and broken clients can do to molink-serve: nothing but lose their own
// connection. The server stays up, its memory is bounded, and /health answers all the while.
#include <csignal>
#include <fstream>
#include <optional>
#include <vector>

#include "served.h"
#include "support/raw_client.h"

using namespace molink::test;

namespace {

const std::string kHead = "POST /v1/completions HTTP/1.1\r\nHost: h\r\n";

bool has(const std::string& text, const std::string& word) {
    return text.find(word) != std::string::npos;
}

/// Sends as much as the server takes and returns its answer. The server may stop reading.
std::string ask(int port, const std::string& bytes) {
    RawClient client(port);
    client.send(bytes);
    return client.read_all();
}

/// Returns the resident memory of a process in MiB.
long resident_mib(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    long total = 0;
    long resident = 0;
    file >> total >> resident;
    return resident * 4 / 1024;
}

}  // namespace

TEST_CASE("requests that are too large or ambiguous are refused with what is wrong") {
    const Served served(0);
    const struct {
        const char* name;
        std::string bytes;
        const char* status;
    } cases[] = {
        {"request line", "GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n", "414"},
        {"head", "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(200'000, 'a'), "431"},
        {"two lengths", kHead + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400"},
        {"length and chunks",
         kHead + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {"folded field", kHead + "X: a\r\n b\r\n\r\n", "400"},
        {"bare line feeds", "GET /health HTTP/1.1\nHost: h\n\n", "400"},
        {"no host", "GET /health HTTP/1.1\r\n\r\n", "400"},
        {"version", "GET /health HTTP/3.0\r\nHost: h\r\n\r\n", "505"},
        {"TLS", "\x16\x03\x01\x02\x05\x01\x05\x01\xfc\x03\x03", "400"},
        {"length", kHead + "Content-Length: 99999999999\r\n\r\n", "413"},
        {"chunk", kHead + "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", "413"},
        {"chunk line", kHead + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(99'999, 'x'),
         "400"},
        {"expectation", kHead + "Expect: miracle\r\nContent-Length: 1\r\n\r\n", "417"},
    };
    for (const auto& item : cases) {
        INFO(item.name);
        const std::string answer = ask(served.port, item.bytes);
        INFO(answer);
        REQUIRE(has(answer, std::string("HTTP/1.1 ") + item.status + " "));
        REQUIRE(has(answer, "\"error\":{"));
        REQUIRE(has(answer, "Connection: close\r\n"));
    }
    std::string fields = kHead;
    for (int i = 0; i < 101; ++i) fields += "F" + std::to_string(i) + ": x\r\n";
    REQUIRE(has(ask(served.port, fields + "\r\n"), "HTTP/1.1 431 "));
    REQUIRE(served.get("/health").status == 200);
}

TEST_CASE("bodies without an end are cut at the limit, in bounded memory") {
    const Served served(0);
    const long before = resident_mib(served.server().pid());
    std::vector<RawClient> clients;
    const std::string piece(1u << 16, ' ');
    const std::string chunk = "10000\r\n" + piece + "\r\n";
    for (int i = 0; i < 4; ++i) {
        RawClient& client = clients.emplace_back(served.port);
        client.send(kHead + "Transfer-Encoding: chunked\r\n\r\n");
        for (int k = 0; k < 400 && client.send(chunk); ++k) {
        }
        REQUIRE(has(client.read_all(), "HTTP/1.1 413 "));
    }
    // Many bodies at once share a budget: beyond it, 503.
    std::vector<RawClient> large;
    const std::string most(15u << 20, ' ');
    for (int i = 0; i < 24; ++i) {
        RawClient& client = large.emplace_back(served.port);
        client.send(kHead + "Content-Length: 16000000\r\n\r\n" + most);
    }
    int refused = 0;
    for (RawClient& client : large) refused += client.ended(200) ? 1 : 0;
    REQUIRE(refused >= 6);
    REQUIRE(served.get("/livez").status == 200);
    REQUIRE(resident_mib(served.server().pid()) < before + 600);
}

TEST_CASE("health answers while hundreds of clients do nothing, and when all places are taken") {
    const Served served(0,
                        {"--http-connections", "300", "--max-running", "4", "--max-waiting", "4"});
    std::vector<RawClient> idle;
    const char* starts[] = {
        "", "G", "GET /health HTTP/1.1\r\nHost: h\r\nX: ",
        "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n{"};
    for (int i = 0; i < 900; ++i) {
        RawClient& client = idle.emplace_back(served.port);
        REQUIRE(client.connected());
        client.send(starts[i % 4]);
        if (i % 50 == 0) {
            REQUIRE(served.get("/health").status == 200);
            REQUIRE(served.get("/livez").status == 200);
        }
    }
    // Those that have waited longest gave way.
    int ended = 0;
    for (RawClient& client : idle) ended += client.ended(0) ? 1 : 0;
    REQUIRE(ended >= 500);
    REQUIRE(served.get("/readyz").status == 200);
    REQUIRE(served.complete(completion_body(R"(,"max_tokens":2)")).status == 200);
}

TEST_CASE("a client that does not read loses its stream, and only that") {
    const Served served(0, {"--max-running", "8"});
    RawClient deaf(served.port, 2048);
    // Log-probabilities make a stream of megabytes.
    REQUIRE(deaf.send(post_text(completion_body(
        R"(,"max_tokens":1900,"ignore_eos":true,"stream":true,"logprobs":20,"n":8)"))));
    REQUIRE(served.until([&] { return served.shows("molink_sequences_running 8"); }));
    REQUIRE(served.get("/health").status == 200);
    REQUIRE(served.until(
        [&] { return served.shows(R"(molink_requests_total{outcome="cancelled"} 1)"); }));
    REQUIRE(served.shows(R"(molink_completions_total{outcome="cancelled"} 8)"));
    REQUIRE(served.complete(completion_body(R"(,"max_tokens":2)")).status == 200);
}

TEST_CASE("a head that comes byte by byte is cut off by the time it takes") {
    const Served served(0);
    RawClient slow(served.port);
    REQUIRE(slow.send("GET /health HTTP/1.1\r\nHost: h\r\nX: "));
    const auto cut = [&] { return !slow.send("x") || slow.ended(0); };
    // The limit is 10 s from the first byte, however many follow.
    REQUIRE(served.until(cut));
    REQUIRE(served.shows(R"(molink_http_responses_total{route="other",status="408"} 1)"));
}

TEST_CASE("counters balance at any moment, in requests and in completions") {
    const Served served(0, {"--max-running", "4", "--max-waiting", "60"});
    std::vector<RawClient> clients;
    for (int i = 0; i < 12; ++i) {
        RawClient& client = clients.emplace_back(served.port);
        const std::string more = R"(,"max_tokens":30,"ignore_eos":true,"n":)" +
                                 std::to_string(1 + i % 4) +
                                 (i % 3 == 0 ? R"(,"stream":true)" : "");
        REQUIRE(client.send(post_text(completion_body(more))));
        if (i % 5 == 4) clients.pop_back();  // hangs up
    }
    const auto number = [](const std::string& page, const std::string& name) {
        const std::size_t at = page.find("\n" + name + " ");
        REQUIRE(at != std::string::npos);
        return std::stol(page.substr(at + name.size() + 2));
    };
    const auto balances = [&](const std::string& page, const std::string& what) {
        const std::string ended = "molink_" + what + "_total{outcome=";
        return number(page, "molink_" + what + "_submitted_total") ==
               number(page, "molink_" + what + "_under_way") +
                   number(page, ended + "\"finished\"}") + number(page, ended + "\"failed\"}") +
                   number(page, ended + "\"cancelled\"}");
    };
    int looks = 0;
    REQUIRE(served.until([&] {
        const std::string page = served.get("/metrics").body;
        INFO(page);
        REQUIRE(balances(page, "requests"));
        REQUIRE(balances(page, "completions"));
        REQUIRE(number(page, "molink_sequences_running") +
                    number(page, "molink_sequences_waiting") ==
                number(page, "molink_completions_under_way"));
        ++looks;
        return number(page, "molink_requests_submitted_total") >= 10 &&
               number(page, "molink_requests_under_way") == 0;
    }));
    REQUIRE(looks > 1);
}
