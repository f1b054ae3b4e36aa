// Addresses as people type them: names, IPv4 and IPv6, interfaces, and what is wrong with the rest.
#include <molink/address.h>

#include "base/node_address.h"
#include "support/catch.h"

using namespace molink;

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
        {"[0:0:0:0:0:0:0:1]:1", "0:0:0:0:0:0:0:1", 1, true},
        {"[fe80::1%eth0]:7100", "fe80::1%eth0", 7100, false},
        {"0.0.0.0:80", "0.0.0.0", 80, false},
        {"[::]:80", "::", 80, false},
        {"*:80", "*", 80, false},
        {"eth0:80", "eth0", 80, false},
        {"example.org:443", "example.org", 443, false},
        {"127.evil.example:1", "127.evil.example", 1, false},
        {"127.8.8.8:1", "127.8.8.8", 1, true},
    };
    for (const auto& item : cases) {
        INFO(item.text);
        const auto address = parse_tcp_address("--http", item.text, AddressUse::listen);
        REQUIRE(address.has_value());
        REQUIRE(address->host == item.host);
        REQUIRE(address->port == item.port);
        REQUIRE(tcp_address_text(*address) == item.text);
        REQUIRE(is_loopback_host(address->host) == item.loopback);
    }
    REQUIRE(parse_tcp_address("x", "h:*", AddressUse::listen)->port == 0);
    REQUIRE(parse_tcp_address("x", "h:007", AddressUse::dial)->port == 7);
}

TEST_CASE("what is wrong with an address is told, with the option and the number") {
    const struct {
        const char* text;
        AddressUse use;
        const char* words;
    } cases[] = {
        {"", AddressUse::listen, "there is no port"},
        {"host", AddressUse::listen, "there is no port"},
        {"[::1]", AddressUse::listen, "there is no port"},
        {"[::1]8", AddressUse::listen, "there is no port"},
        {"[::1:8", AddressUse::listen, "the bracket is not closed"},
        {"[::1]8:80", AddressUse::listen, "does not follow the bracket"},
        {"host:", AddressUse::listen, "the port '' is not a number"},
        {"host:http", AddressUse::listen, "the port 'http' is not a number"},
        {"host:-1", AddressUse::listen, "the port '-1' is not a number"},
        {"host:65536", AddressUse::listen, "the port is 65536; 0 to 65535 are permitted"},
        {"host:72636", AddressUse::dial, "the port is 72636; 1 to 65535 are permitted"},
        {"host:99999999999999999999", AddressUse::dial, "the port is 99999999999999999999;"},
        {"host:0", AddressUse::dial, "the port is 0; 1 to 65535 are permitted"},
        {"host:000", AddressUse::dial, "the port is 0; 1 to 65535 are permitted"},
        {"host:*", AddressUse::dial, "the port '*' is not a number"},
        {":80", AddressUse::listen, "there is no host"},
        {"::1:80", AddressUse::listen, "needs brackets"},
        {"[]:80", AddressUse::listen, "'' is not an IPv6 address"},
        {"[127.0.0.1]:80", AddressUse::listen, "'127.0.0.1' is not an IPv6 address"},
        {"a b:80", AddressUse::listen, "'a b' is neither"},
        {"10.0.0.1;host:80", AddressUse::dial, "is neither a host name nor an IP address"},
        {"*:80", AddressUse::dial, "* cannot be dialled"},
        {"0.0.0.0:80", AddressUse::dial, "0.0.0.0 cannot be dialled"},
        {"[::]:80", AddressUse::dial, ":: cannot be dialled"},
    };
    for (const auto& item : cases) {
        INFO(item.text);
        const auto address = parse_tcp_address("--http", item.text, item.use);
        REQUIRE(address.status().code() == StatusCode::invalid_argument);
        INFO(address.error().message());
        REQUIRE(address.error().message().starts_with("--http is '"));
        REQUIRE(address.error().message().find(item.words) != std::string::npos);
    }
}

TEST_CASE("addresses of nodes have a scheme") {
    REQUIRE(check_node_address("join", "tcp://box.example:7100", AddressUse::dial).ok());
    REQUIRE(check_node_address("listen", "ipc:///run/molink", AddressUse::listen).ok());
    REQUIRE(check_node_address("listen", "tcp://[::1]:*", AddressUse::listen).ok());
    REQUIRE(check_node_address("join", "tcp://127.0.0.1:70000", AddressUse::dial).message() ==
            "join is '127.0.0.1:70000': the port is 70000; 1 to 65535 are permitted");
    for (const char* bad : {"", "127.0.0.1:5", "tcp://", "http://127.0.0.1:5", "ipc://"}) {
        INFO(bad);
        const Status status = check_node_address("join", bad, AddressUse::dial);
        REQUIRE(status.message().find("an address looks like tcp://") != std::string::npos);
    }
    REQUIRE(is_wildcard_address("tcp://*:5"));
    REQUIRE(is_wildcard_address("tcp://[::0]:5"));
    REQUIRE_FALSE(is_wildcard_address("tcp://[::1]:5"));
}

TEST_CASE("hosts are resolved, and an unknown one is named") {
    using Hosts = std::vector<std::string>;
    REQUIRE(*resolve_host("192.0.2.7", AddressUse::dial) == Hosts{"192.0.2.7"});
    REQUIRE(*resolve_host("::1", AddressUse::dial) == Hosts{"::1"});
    REQUIRE(*resolve_host("*", AddressUse::listen) == Hosts{"0.0.0.0"});
    const auto local = resolve_host("localhost", AddressUse::dial);
    REQUIRE(local.has_value());
    for (const std::string& host : *local) {
        REQUIRE(is_loopback_host(host));
    }
    REQUIRE(resolve_host("lo", AddressUse::listen)->front() == "127.0.0.1");
    const Status unknown = resolve_host("no-such-host.invalid", AddressUse::dial).status();
    REQUIRE_FALSE(unknown.ok());
    REQUIRE(
        unknown.message().starts_with("the host name 'no-such-host.invalid' cannot be resolved: "));
}
