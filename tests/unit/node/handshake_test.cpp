// Nodes that are refused and the reasons, and addresses that count as local.
#include "support/catch.h"
#include "support/cluster_fixture.h"

#include "base/node_address.h"
#include "node/address.h"

using namespace molink;

TEST_CASE("a node of another protocol version is told both versions") {
    const NodeIdentity head = test::fold_identity("head");
    const PartitionModel model = test::fold_partition_model();
    Hello hello = make_hello(test::fold_identity("w"), "inproc://w");
    REQUIRE(check_hello(hello, head, model).ok());
    hello.protocol_major = 4;
    hello.protocol_minor = 5;
    hello.release = "molink 9.9.9";
    const Status status = check_hello(hello, head, model);
    REQUIRE(status.code() == StatusCode::failed_precondition);
    REQUIRE(status.message().find("protocol version 4.5 (molink 9.9.9); the head has 3.1") !=
            std::string::npos);
}

TEST_CASE("a node must have a name and an address that others can dial") {
    const NodeIdentity head = test::fold_identity("head");
    const PartitionModel model = test::fold_partition_model();
    REQUIRE_FALSE(check_hello(make_hello(test::fold_identity(""), "inproc://w"), head, model).ok());
    REQUIRE_FALSE(check_hello(make_hello(test::fold_identity("w"), ""), head, model).ok());
    REQUIRE_FALSE(
        check_hello(make_hello(test::fold_identity("w"), "tcp://0.0.0.0:1"), head, model).ok());
}

TEST_CASE("a process must offer a device, and may fix layers for one only") {
    const NodeIdentity head = test::fold_identity("head");
    const PartitionModel model = test::fold_partition_model();
    NodeIdentity worker = test::fold_identity("w");
    worker.devices.push_back(worker.devices[0]);
    worker.devices[1].name = "1";
    REQUIRE(check_hello(make_hello(worker, "inproc://w"), head, model).ok());
    NodeIdentity fixed = worker;
    fixed.layers = LayerRange{0, 2};
    REQUIRE(check_hello(make_hello(fixed, "inproc://w"), head, model).message() ==
            "node 'w' fixes layers for 2 devices; it may for one");
    NodeIdentity small = worker;
    small.devices[1].memory_bytes = 900;
    const Status refused = check_hello(make_hello(small, "inproc://w"), head, model);
    REQUIRE(refused.code() == StatusCode::failed_precondition);
    REQUIRE(refused.message().find("node 'w/1'") == 0);
    worker.devices.clear();
    REQUIRE(check_hello(make_hello(worker, "inproc://w"), head, model).message() ==
            "node 'w' offers no device");
}

TEST_CASE("a list of devices names each once") {
    NodeOptions options;
    const auto names = [&](const char* backend) {
        options.backend = backend;
        return device_names(options);
    };
    const auto refusal = [&](const char* backend) { return names(backend).status().message(); };
    REQUIRE(*names("cpu") == std::vector<std::string>{"cpu:0"});
    REQUIRE(*names("cpu:all") == std::vector<std::string>{"cpu:0"});
    REQUIRE(*names("timed") == std::vector<std::string>{"timed"});
    REQUIRE(*names("timed:0,timed:1") == std::vector<std::string>{"timed:0", "timed:1"});
    REQUIRE(refusal("cpu,cpu:0") == "backend 'cpu,cpu:0' names device cpu:0 twice");
    REQUIRE(refusal("timed,timed") == "backend 'timed,timed' names device timed twice");
    REQUIRE(refusal("timed,cpu") == "backend 'timed,cpu': timed devices and others are mixed");
    REQUIRE(refusal("cpu:7") == "backend 'cpu' has no device '7'; known: 0");
    REQUIRE(refusal("cpu,").find("no backend ''") == 0);
    std::string many = "timed:0";
    for (int i = 1; i < 17; ++i) many += ",timed:" + std::to_string(i);
    REQUIRE(refusal(many.c_str()).find("names 17 devices; at most 16") != std::string::npos);
    options.layers = LayerRange{0, 2};
    REQUIRE(names("timed"));
    REQUIRE(refusal("timed:0,timed:1").find("layers 0-1 are asked for, and 2 devices") == 0);
}

TEST_CASE("addresses that are not local need keys or insecure") {
    NodeOptions plain;
    NodeOptions insecure;
    insecure.insecure = true;
    NodeOptions keyed;
    keyed.security.key_file = "node.key";
    for (const char* local : {"tcp://127.0.0.1:5", "tcp://127.8.9.1:*", "tcp://localhost:5",
                              "tcp://[::1]:5", "ipc:///tmp/x", "inproc://x"}) {
        INFO(local);
        REQUIRE(is_local_address(local));
    }
    for (const char* open : {"tcp://0.0.0.0:5", "tcp://*:5", "tcp://10.0.0.1:5", "tcp://[::]:5",
                             "tcp://127.0.0.1.example:5", "tcp://localhost.example:5"}) {
        INFO(open);
        REQUIRE_FALSE(is_local_address(open));
        REQUIRE_FALSE(check_address("listen", open, AddressUse::listen, plain).ok());
        REQUIRE(check_address("listen", open, AddressUse::listen, insecure).ok());
        REQUIRE(check_address("listen", open, AddressUse::listen, keyed).ok());
    }
    REQUIRE_FALSE(check_address("listen", "127.0.0.1:5", AddressUse::listen, insecure).ok());
}

TEST_CASE("ports and hosts that make no sense are refused for each address of a node") {
    WorkerOptions options;
    options.model_dir = "m";
    options.insecure = true;
    options.join = "tcp://127.0.0.1:7100";
    REQUIRE(check_worker_options(options).ok());
    const auto refuses = [&](std::string WorkerOptions::*option, const char* value,
                             const std::string& words) {
        WorkerOptions changed = options;
        changed.*option = value;
        const Status status = check_worker_options(changed);
        INFO(status.to_string());
        REQUIRE(status.code() == StatusCode::invalid_argument);
        REQUIRE(status.message().find(words) != std::string::npos);
    };
    refuses(&WorkerOptions::listen, "tcp://127.0.0.1:72636", "listen is '127.0.0.1:72636'");
    refuses(&WorkerOptions::join, "tcp://127.0.0.1:65536", "the port is 65536; 1 to 65535");
    refuses(&WorkerOptions::join, "tcp://127.0.0.1:0", "join is '127.0.0.1:0': the port is 0");
    refuses(&WorkerOptions::join, "tcp://*:7100", "cannot be dialled");
    refuses(&WorkerOptions::advertise, "tcp://127.0.0.1:*", "advertise is '127.0.0.1:*'");
    refuses(&WorkerOptions::advertise, "tcp://[::]:7100", "advertise is '[::]:7100'");
    refuses(&WorkerOptions::listen, "tcp://[::]:7100", "set advertise");
}

TEST_CASE("an option outside its range is refused with its name and the range") {
    EngineOptions options;
    options.model_dir = "m";
    REQUIRE(check_engine_options(options).ok());
    const auto refuses = [](void (*change)(EngineOptions&), const std::string& words) {
        EngineOptions changed;
        changed.model_dir = "m";
        change(changed);
        const Status status = check_engine_options(changed);
        INFO(status.to_string());
        REQUIRE(status.code() == StatusCode::invalid_argument);
        REQUIRE(status.message().find(words) != std::string::npos);
    };
    refuses([](EngineOptions& o) { o.model_dir.clear(); }, "model_dir");
    refuses([](EngineOptions& o) { o.stages = 0; }, "stages is 0; 1 to 256");
    refuses([](EngineOptions& o) { o.block_tokens = 20; }, "block_tokens is 20");
    refuses([](EngineOptions& o) { o.max_slice_tokens = 513; },
            "max_slice_tokens is 513; 1 to 512");
    refuses([](EngineOptions& o) { o.max_running = 2000; }, "max_running is 2000");
    refuses([](EngineOptions& o) { o.kv_type = DataType::bf16; }, "kv_type is bf16");
    refuses([](EngineOptions& o) { o.wire_type = DataType::q8_0; }, "wire_type is q8_0");
    refuses([](EngineOptions& o) { o.memory_bytes = -1; }, "memory_bytes is -1");
    refuses([](EngineOptions& o) { o.layers = LayerRange{3, 3}; }, "layers 3-2");
    WorkerOptions worker;
    worker.model_dir = "m";
    REQUIRE(check_worker_options(worker).message().find("join is empty") != std::string::npos);
}
