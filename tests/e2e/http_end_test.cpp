// Tests the beginning and the end of molink-serve: a port in use, wrong flags, SIGTERM with every
// kind of client, a second signal, SIGPIPE.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "served.h"
#include "support/raw_client.h"

using namespace molink::test;

namespace {

/// More than the 10 s that are promised, for slow machines under sanitizers.
constexpr double kEndS = 30;

bool has(const std::string& text, const std::string& word) {
    return text.find(word) != std::string::npos;
}

const std::string kEndless = R"(,"max_tokens":1900,"ignore_eos":true)";

/// Starts molink-serve with flags that are wrong and returns its errors.
std::string errors_of(const std::vector<std::string>& more) {
    std::vector<std::string> flags{"--model", kServedModel, "--threads", "1"};
    flags.insert(flags.end(), more.begin(), more.end());
    Process process(std::string(MOLINK_BIN_DIR) + "/molink-serve", flags);
    REQUIRE(process.wait(kEndS) == 2);
    return process.errors();
}

}  // namespace

TEST_CASE("a second server on a port in use fails and says why") {
    const Served served(0);
    const std::string address = "127.0.0.1:" + std::to_string(served.port);
    const std::string errors = errors_of({"--http", address});
    INFO(errors);
    REQUIRE(has(errors, "listen for HTTP at " + address + ": another program uses this port"));
    REQUIRE(served.get("/health").status == 200);
}

TEST_CASE("wrong flags are named, and an open address needs a key or a word") {
    const struct {
        std::vector<std::string> flags;
        const char* words;
    } cases[] = {
        {{"--http", "127.0.0.1:65536"}, "--http is '127.0.0.1:65536': the port is 65536"},
        {{"--http", "127.0.0.1"}, "there is no port"},
        {{"--http", "::1:80"}, "needs brackets"},
        {{"--http", "no-such-host.invalid:0", "--insecure"},
         "the host name 'no-such-host.invalid' cannot be resolved"},
        {{"--http", "0.0.0.0:0"}, "needs --api-key, or --insecure"},
        {{"--api-key", "short"}, "has 5 characters"},
        {{"--api-key", "/no/such/file"}, "there is no file"},
        {{"--tls-cert", "a.pem"}, "need each other"},
        {{"--tls-cert", "/no/cert", "--tls-key", "/no/key"}, "--tls-cert /no/cert"},
        {{"--status", "key"}, "needs --api-key"},
        {{"--status", "maybe"}, "off, local, key and open"},
        {{"--drain", "-1"}, "--drain is -1"},
    };
    for (const auto& item : cases) {
        INFO(item.words);
        const std::string errors = errors_of(item.flags);
        INFO(errors);
        REQUIRE(has(errors, item.words));
    }
    Process version(std::string(MOLINK_BIN_DIR) + "/molink-serve", {"--version"});
    REQUIRE(version.wait(kEndS) == 0);
    REQUIRE(version.output().starts_with("molink "));
}

TEST_CASE("after SIGTERM answers may end, and new ones are refused") {
    const Served served(0, {"--drain", "60"});
    RawClient stream(served.port);
    REQUIRE(stream.send(
        post_text(completion_body(R"(,"max_tokens":400,"ignore_eos":true,"stream":true)"),
                  "Connection: close\r\n")));
    REQUIRE(has(stream.read_until("data: "), "HTTP/1.1 200 OK"));
    served.server().signal(SIGTERM);
    REQUIRE(served.until([&] { return served.get("/readyz").status == 503; }));
    REQUIRE(served.get("/livez").status == 200);
    REQUIRE(value_of(served.get("/health").body, "status") == "draining");
    const HttpAnswer refused = served.complete(completion_body(""));
    REQUIRE(refused.status == 503);
    REQUIRE(has(refused.body, "shutting down"));
    REQUIRE(has(stream.read_all(), "data: [DONE]\n\n"));
    REQUIRE(served.server().wait(kEndS) == 0);
}

TEST_CASE("SIGTERM ends the server whatever its clients do") {
    const Served served(0, {"--drain", "1", "--max-running", "8"});
    std::vector<RawClient> clients;
    for (int i = 0; i < 40; ++i) {
        clients.emplace_back(served.port).send(i % 2 == 0 ? "GET /hea" : "");
    }
    RawClient deaf(served.port, 2048);
    deaf.send(post_text(completion_body(kEndless + R"(,"stream":true,"logprobs":5)")));
    RawClient listening(served.port);
    listening.send(post_text(completion_body(kEndless + R"(,"stream":true)")));
    RawClient waiting(served.port);
    waiting.send(post_text(completion_body(kEndless)));
    REQUIRE(has(listening.read_until("data: "), "HTTP/1.1 200 OK"));
    served.server().signal(SIGTERM);
    // The stream is told, and its last chunk comes.
    const std::string rest = listening.read_all();
    INFO(rest.substr(rest.size() - std::min<std::size_t>(rest.size(), 600)));
    REQUIRE(has(rest, "data: {\"error\":{"));
    REQUIRE(has(rest, "the engine was closed"));
    REQUIRE(rest.ends_with("0\r\n\r\n"));
    const std::string answer = waiting.read_all();
    REQUIRE(has(answer, "HTTP/1.1 503 "));
    REQUIRE(served.server().wait(kEndS) == 0);
}

TEST_CASE("a second signal ends the server at once") {
    const Served served(0, {"--drain", "600"});
    RawClient stream(served.port);
    REQUIRE(stream.send(post_text(completion_body(kEndless + R"(,"stream":true)"))));
    REQUIRE(has(stream.read_until("data: "), "HTTP/1.1 200 OK"));
    served.server().signal(SIGTERM);
    REQUIRE(served.until([&] { return served.get("/readyz").status == 503; }));
    served.server().signal(SIGTERM);
    REQUIRE(served.server().wait(kEndS) == 128 + SIGTERM);
}

TEST_CASE("SIGPIPE does not end the server") {
    const Served served(0);
    served.server().signal(SIGPIPE);
    for (int i = 0; i < 20; ++i) {
        RawClient client(served.port);
        client.send(post_text(completion_body(R"(,"max_tokens":50,"stream":true)")) +
                    "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    REQUIRE(served.get("/health").status == 200);
    served.server().signal(SIGTERM);
    REQUIRE(served.server().wait(kEndS) == 0);
}
