// Tests real nodes on bad links, which are frozen for longer than any time-out of the channel, or
// cut again and again. Every stream must end with the tokens that it has on good links.
#include <filesystem>
#include <thread>

#include <molink/worker.h>

#include "sim/fold.h"
#include "support/catch.h"
#include "support/local_cluster.h"
#include "support/process.h"
#include "support/relay.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using namespace molink::test;

namespace {

constexpr std::int64_t kWaitUs = 60'000'000;

/// A head and two workers on the timed backend. Every connection goes through a relay.
struct RelayedCluster {
    RelayedCluster() {
        REQUIRE(write_tiny_model(dir.path()).ok());
        REQUIRE(std::filesystem::remove(dir.path() / "model.safetensors"));
        EngineOptions options;
        set(options);
        options.stages = 3;
        options.partitioner = make_even_partitioner();
        options.wire_type = DataType::f16;
        options.max_slice_tokens = 16;
        auto opened = Engine::open(std::move(options));
        REQUIRE(opened.has_value());
        engine = std::move(*opened);
        for (int i = 0; i < 2; ++i) {
            WorkerOptions worker;
            set(worker);
            worker.join = engine->address();
            worker.give_up_after_us = 0;
            auto joined = Worker::open(std::move(worker));
            REQUIRE(joined.has_value());
            workers.push_back(std::move(*joined));
        }
        REQUIRE(engine->wait_ready(kWaitUs).ok());
    }
    ~RelayedCluster() {
        (void)engine->close();
        for (auto& worker : workers) (void)worker->wait(kWaitUs);
    }

    void set(NodeOptions& node) {
        node.model_dir = dir.string();
        node.backend = "timed";
        node.timed = {500, 10, 200, 5, 100, 1};
        node.memory_bytes = 64 << 20;
        node.reconnect_within_us = 10'000'000;
        const int port = free_port();
        ports.push_back(relay.add(port, {12.5e6, 12.5e6, 3'000, 0, {}}));
        node.listen = "tcp://127.0.0.1:" + std::to_string(port);
        node.advertise = "tcp://127.0.0.1:" + std::to_string(ports.back());
    }

    /// Returns the bytes that the links have sent again.
    std::uint64_t resent_bytes() const {
        std::uint64_t bytes = 0;
        for (const LinkMetrics& link : engine->metrics().links) bytes += link.resent_bytes;
        for (const auto& worker : workers) {
            for (const LinkMetrics& link : worker->view().links) bytes += link.resent_bytes;
        }
        return bytes;
    }

    TempDir dir;
    Relay relay;
    std::vector<int> ports;  // the head's first
    std::unique_ptr<Engine> engine;
    std::vector<std::unique_ptr<Worker>> workers;
};

GenerateRequest request_of(std::int32_t index) {
    GenerateRequest request;
    for (std::int32_t i = 0; i < 30 + 7 * index; ++i) {
        request.prompt_tokens.push_back((i * 11 + index * 3) % (kFoldVocabulary - 1));
    }
    request.max_tokens = 60;
    request.ignore_eos = true;
    return request;
}

/// Runs six streams. Calls `disturb` after every event with tokens, with the number of such events.
template <typename Disturb>
void run_streams(RelayedCluster& cluster, const Disturb& disturb) {
    Requests requests(*cluster.engine);
    std::atomic<int> tokens{0};
    std::vector<RequestId> ids;
    for (std::int32_t i = 0; i < 6; ++i) {
        ids.push_back(requests.submit(request_of(i), [&](const RequestEvent& event) {
            if (!event.tokens.empty()) disturb(++tokens);
        }));
    }
    for (std::int32_t i = 0; i < 6; ++i) {
        const Completion got = requests.wait(ids[static_cast<std::size_t>(i)]).front();
        INFO("stream " << i);
        REQUIRE(got.reason == FinishReason::length);
        REQUIRE(got.tokens ==
                sim::expect(request_of(i), 0, {cluster.engine->model().layers}).tokens);
    }
    REQUIRE(cluster.engine->cluster().epoch == 1);
}

}  // namespace

TEST_CASE("links through relays are measured before the plan") {
    RelayedCluster cluster;
    const std::vector<PartitionLink> links = cluster.engine->partition().input.links;
    REQUIRE(links.size() == 6);
    for (const PartitionLink& link : links) {
        INFO("node " << link.from.value << " -> " << link.to.value << ": "
                     << link.model.bytes_per_s * 8e-6 << " Mbit/s, " << link.model.delay_us
                     << " us");
        // Far from the values of an unmeasured link and of loopback. Not closer to the true ones,
        // because a busy machine reads late.
        CHECK(link.model.bytes_per_s > 12.5e6 / 4);
        CHECK(link.model.bytes_per_s < 4 * 12.5e6);
        CHECK(link.model.delay_us >= 2'500);
        CHECK(link.model.delay_us <= 50'000);
    }
}

TEST_CASE("a link that is cut twenty times loses nothing and delivers nothing twice") {
    RelayedCluster cluster;
    int cuts = 0;
    run_streams(cluster, [&](int tokens) {
        if (tokens % 15 != 0 || cuts == 20) return;
        cluster.relay.cut(cluster.ports[static_cast<std::size_t>(cuts++ % 3)]);
    });
    REQUIRE(cuts == 20);
    // A window holds at least 64 KiB. Each cut ends both directions of up to four connections.
    REQUIRE(cluster.resent_bytes() < 20 * 4 * std::uint64_t{65536});
}

TEST_CASE("a link that is frozen for eight seconds continues where it stopped") {
    RelayedCluster cluster;
    run_streams(cluster, [&](int tokens) {
        if (tokens == 100) cluster.relay.freeze(cluster.ports[1], 8'000'000);
    });
}
