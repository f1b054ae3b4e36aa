// HOST:PORT of --http: names, IPv4 and IPv6, and what is wrong with the rest.
#include "http/http_address.h"

#include "support/catch.h"

using namespace molink;
using namespace molink::examples;

TEST_CASE("addresses of every kind are read and written back") {
    const struct {
        const char* text;
        const char* host;
        int port;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1", 8080, true},
        {"localhost:0", "localhost", 0, true},
        {"[::1]:65535", "::1", 65535, true},
        {"0.0.0.0:80", "0.0.0.0", 80, false},
        {"[::]:80", "::", 80, false},
        {"example.org:443", "example.org", 443, false},
        {"127.evil.example:1", "127.evil.example", 1, false},
        {"127.8.8.8:1", "127.8.8.8", 1, true},
    };
    for (const auto& item : cases) {
        INFO(item.text);
        const auto address = parse_http_address(item.text);
        REQUIRE(address.has_value());
        REQUIRE(address->host == item.host);
        REQUIRE(address->port == item.port);
        REQUIRE(url_host(*address) == item.text);
        REQUIRE(is_loopback_host(address->host) == item.loopback);
    }
}

TEST_CASE("what is wrong with an address is told") {
    const std::pair<const char*, const char*> cases[] = {
        {"", "has no port"},
        {"host", "has no port"},
        {"host:", "that is a number"},
        {"host:http", "that is a number"},
        {"host:-1", "that is a number"},
        {"host:65536", "above 65535"},
        {":80", "has no host"},
        {"host:99999999999999999999", "above 65535"},
        {"::1:80", "without brackets"},
        {"[]:80", "has no host"},
    };
    for (const auto& [text, words] : cases) {
        INFO(text);
        const auto address = parse_http_address(text);
        REQUIRE(address.status().code() == StatusCode::invalid_argument);
        INFO(address.error().message());
        REQUIRE(address.error().message().find(words) != std::string::npos);
    }
}
