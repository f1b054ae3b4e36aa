// Nodes that are refused and the reasons, and addresses that count as local.
#include "support/catch.h"
#include "support/cluster_fixture.h"

#include "node/address.h"

using namespace molink;

TEST_CASE("a node of another protocol version is told both versions") {
    const NodeIdentity head = test::fold_identity("head");
    const PartitionModel model = test::fold_partition_model();
    Hello hello = make_hello(test::fold_identity("w"), "inproc://w");
    REQUIRE(check_hello(hello, head, model).ok());
    hello.protocol_major = 3;
    hello.protocol_minor = 5;
    hello.release = "molink 9.9.9";
    const Status status = check_hello(hello, head, model);
    REQUIRE(status.code() == StatusCode::failed_precondition);
    REQUIRE(status.message().find("protocol version 3.5 (molink 9.9.9); the head has 2.0") !=
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

TEST_CASE("addresses that are not local need insecure") {
    for (const char* local : {"tcp://127.0.0.1:5", "tcp://127.8.9.1:*", "tcp://localhost:5",
                              "tcp://[::1]:5", "ipc:///tmp/x", "inproc://x"}) {
        INFO(local);
        REQUIRE(is_local_address(local));
    }
    for (const char* open : {"tcp://0.0.0.0:5", "tcp://*:5", "tcp://10.0.0.1:5", "tcp://[::]:5",
                             "tcp://127.0.0.1.example:5", "tcp://localhost.example:5"}) {
        INFO(open);
        REQUIRE_FALSE(is_local_address(open));
        REQUIRE_FALSE(check_address("listen", open, false).ok());
        REQUIRE(check_address("listen", open, true).ok());
    }
    for (const char* bad : {"", "127.0.0.1:5", "tcp://", "http://127.0.0.1:5"}) {
        REQUIRE_FALSE(check_address("listen", bad, true).ok());
    }
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
