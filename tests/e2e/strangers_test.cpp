// A keyed cluster among strangers: what they read on the wire, and what they can do to 16 streams
// by connecting, saying nothing, saying nonsense, and knocking with keys that nobody knows.
#include <atomic>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>

#include <molink/worker.h>

#include "sim/fold.h"
#include "support/catch.h"
#include "support/local_cluster.h"
#include "support/process.h"
#include "support/relay.h"
#include "support/strangers.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using namespace molink::test;

namespace {

constexpr std::int64_t kWaitUs = 60'000'000;

/// A head and two workers on the timed backend. What passes between them is recorded.
class WatchedCluster {
public:
    explicit WatchedCluster(bool keyed) : keyed_(keyed), access((dir_ / "head.access").string()) {
        REQUIRE(write_tiny_model(dir_.path()).ok());
        REQUIRE(std::filesystem::remove(dir_.path() / "model.safetensors"));
        EngineOptions options;
        set(options);
        options.stages = 3;
        options.partitioner = make_even_partitioner();
        if (keyed_) {
            options.security.key_file = new_key("head.key");
            REQUIRE(allow_key(access, make_key_pair().public_key, "nobody").ok());
            options.security.allow_file = access;
        }
        auto opened = Engine::open(std::move(options));
        if (!opened) FAIL(opened.error().message());
        engine = std::move(*opened);
        for (int i = 0; i < 2; ++i) {
            WorkerOptions worker;
            set(worker);
            worker.join = engine->address();
            worker.give_up_after_us = 0;
            if (keyed_) {
                const PublicKey head = read_key_file((dir_ / "head.key").string())->public_key;
                const auto token = add_join_token(access, head, engine->address(), 600, false);
                REQUIRE(token.has_value());
                worker.security.token = token_text(*token);
                worker.security.key_file = (dir_ / ("w" + std::to_string(i))).string();
            }
            auto joined = Worker::open(std::move(worker));
            if (!joined) FAIL(joined.error().message());
            workers_.push_back(std::move(*joined));
        }
        const Status ready = engine->wait_ready(kWaitUs);
        INFO(ready.message());
        REQUIRE(ready.ok());
    }
    ~WatchedCluster() {
        (void)engine->close();
        for (auto& worker : workers_) (void)worker->wait(kWaitUs);
    }

    /// Returns whether the bytes have passed between the nodes.
    bool has_seen(std::string_view bytes) const {
        const std::lock_guard lock(mutex_);
        return seen_.find(bytes) != std::string::npos;
    }
    std::size_t seen_bytes() const {
        const std::lock_guard lock(mutex_);
        return seen_.size();
    }
    /// Ports at which the nodes listen themselves.
    const std::vector<int>& ports() const { return ports_; }

    PublicKey head_key() const { return read_key_file((dir_ / "head.key").string())->public_key; }

    /// Takes the permission of a worker's key away.
    void revoke(int worker) const {
        const auto pair = read_key_file((dir_ / ("w" + std::to_string(worker))).string());
        REQUIRE(pair.has_value());
        REQUIRE(revoke_key(access, pair->public_key).ok());
    }

private:
    std::string new_key(const std::string& name) {
        const std::string path = (dir_ / name).string();
        REQUIRE(write_key_file(path, make_key_pair()).ok());
        return path;
    }

    void set(NodeOptions& node) {
        node.model_dir = dir_.string();
        node.backend = "timed";
        node.timed = {500, 10, 200, 5, 100, 1};
        node.memory_bytes = 64 << 20;
        const int port = free_port();
        RelayedLink link;
        link.tap = [this](std::span<const char> bytes) {
            const std::lock_guard lock(mutex_);
            seen_.append(bytes.data(), bytes.size());
        };
        ports_.push_back(port);
        node.listen = "tcp://127.0.0.1:" + std::to_string(port);
        node.advertise = "tcp://127.0.0.1:" + std::to_string(relay_.add(port, link));
    }

    TempDir dir_;
    bool keyed_;
    mutable std::mutex mutex_;
    std::string seen_;
    std::vector<int> ports_;
    Relay relay_;
    std::vector<std::unique_ptr<Worker>> workers_;

public:
    const std::string access;
    std::unique_ptr<Engine> engine;
};

GenerateRequest request_of(std::int32_t index) {
    GenerateRequest request;
    for (std::int32_t i = 0; i < 40; ++i) {
        request.prompt_tokens.push_back((i * 11 + index * 3) % (kFoldVocabulary - 1));
    }
    request.max_tokens = 100;
    request.ignore_eos = true;
    return request;
}

std::string bytes_of(std::span<const Token> tokens) {
    std::string bytes(tokens.size() * sizeof(Token), '\0');
    std::memcpy(bytes.data(), tokens.data(), bytes.size());
    return bytes;
}

void check_streams(Engine& engine, std::int32_t streams) {
    Requests requests(engine);
    std::vector<RequestId> ids;
    for (std::int32_t i = 0; i < streams; ++i) ids.push_back(requests.submit(request_of(i)));
    for (std::int32_t i = 0; i < streams; ++i) {
        const Completion got = requests.wait(ids[static_cast<std::size_t>(i)]).front();
        INFO("stream " << i << " " << engine.cluster().last_error);
        REQUIRE(got.reason == FinishReason::length);
        REQUIRE(got.tokens == sim::expect(request_of(i), 0, {engine.model().layers}).tokens);
    }
    REQUIRE(engine.cluster().epoch == 1);
}

}  // namespace

TEST_CASE("traffic shows tokens without keys and none with them") {
    const std::vector<Token> tokens = request_of(0).prompt_tokens;
    const std::string prompt = bytes_of(std::span(tokens).first(8));
    {
        WatchedCluster plain(false);
        check_streams(*plain.engine, 2);
        CHECK(plain.has_seen(prompt));
        CHECK(plain.has_seen("tcp://127.0.0.1:"));
    }
    WatchedCluster keyed(true);
    check_streams(*keyed.engine, 2);
    CHECK(keyed.seen_bytes() > 10'000);
    CHECK_FALSE(keyed.has_seen(prompt));
    CHECK_FALSE(keyed.has_seen("tcp://127.0.0.1:"));
    for (std::int32_t i = 0; i < 2; ++i) {
        const auto answer = sim::expect(request_of(i), 0, {keyed.engine->model().layers}).tokens;
        for (std::size_t at = 0; at + 8 <= answer.size(); at += 4) {
            INFO("answer " << i << " at " << at);
            REQUIRE_FALSE(keyed.has_seen(bytes_of(std::span(answer).subspan(at, 8))));
        }
    }
}

TEST_CASE("a revoked key ends the streams over its node with an error that says so") {
    WatchedCluster cluster(true);
    Requests requests(*cluster.engine);
    GenerateRequest request = request_of(0);
    request.max_tokens = 400;
    std::atomic<bool> revoked{false};
    std::string error;  // of the last event, which wait() waits for
    const RequestId id = requests.submit(std::move(request), [&](const RequestEvent& event) {
        if (!event.tokens.empty() && !revoked.exchange(true)) cluster.revoke(0);
        error = event.status.message();
    });
    const Completion got = requests.wait(id).front();
    INFO(error);
    REQUIRE(got.reason == FinishReason::error);
    CHECK(error.find("its key was revoked") != std::string::npos);
}

TEST_CASE("strangers disturb no stream of a keyed cluster and get no answer") {
    WatchedCluster cluster(true);
    const Strangers strangers{cluster.ports(), 300};
    std::atomic<bool> over{false};
    std::atomic<int> answered{0};
    std::atomic<int> connections{0};
    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < 2; ++i) {
        threads.emplace_back([&, i] { connections += strangers.connect(10'000, 200, i, over); });
    }
    // Of three nodes one has this key; the others are asked for one that they do not hold.
    threads.emplace_back([&] { answered = strangers.knock(10'000, cluster.head_key(), over); });
    for (int round = 0; round < 3; ++round) check_streams(*cluster.engine, 16);
    over = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(answered == 0);
    CHECK(connections > 100);
}
