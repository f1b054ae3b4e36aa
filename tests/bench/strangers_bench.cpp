// Speed of a keyed cluster among strangers: a head and two timed workers on loopback, 16 streams,
// with and without a process that makes 10,000 connections that never finish their handshake and
// knocks with 10,000 keys that nobody knows, both at the same time. Runs alternate; medians are
// compared.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>
#include <molink/partitioner.h>
#include <molink/security.h>
#include <molink/worker.h>

#include "bench_machine.h"
#include "support/local_cluster.h"
#include "support/process.h"
#include "support/strangers.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

namespace molink::bench {
namespace {

constexpr int kStreams = 16;
constexpr int kTokens = 300;
constexpr int kTokenIds = 90;  // fewer than the timed backend has
constexpr int kRounds = 3;
constexpr int kAttempts = 10'000;
constexpr double kSeconds = 10;

/// Stops the program when something that must work does not.
template <typename Outcome>
Outcome&& need(Outcome&& outcome) {
    const Status status = [&] {
        if constexpr (std::is_same_v<std::decay_t<Outcome>, Status>) {
            return outcome;
        } else {
            return outcome.status();
        }
    }();
    if (!status.ok()) throw std::runtime_error(status.to_string());
    return std::forward<Outcome>(outcome);
}

/// A head and two workers on ports of loopback, which know each other by their keys.
class KeyedCluster {
public:
    KeyedCluster() {
        need(write_tiny_model(dir_.path()));
        EngineOptions options;
        set(options, "head");
        options.stages = 3;
        options.partitioner = make_even_partitioner();
        options.security.allow_file = path("access");
        for (const char* name : {"a", "b"}) need(allow_key(path("access"), make_key(name), name));
        engine_ = std::move(*need(Engine::open(std::move(options))));
        for (const char* name : {"a", "b"}) {
            WorkerOptions worker;
            set(worker, name);
            worker.join = engine_->address();
            worker.security.head_key = key_text(head_key_);
            workers_.push_back(std::move(*need(Worker::open(std::move(worker)))));
        }
        need(engine_->wait_ready(60'000'000));
    }

    Engine& engine() { return *engine_; }
    /// The flags of a process that attacks this cluster.
    std::vector<std::string> target() const {
        std::vector<std::string> flags{"--attack", key_text(head_key_)};
        for (int port : ports_) flags.push_back(std::to_string(port));
        return flags;
    }

private:
    std::string path(const std::string& name) const { return (dir_ / name).string(); }
    PublicKey make_key(const std::string& name) const {
        const KeyPair pair = make_key_pair();
        need(write_key_file(path(name + ".key"), pair));
        return pair.public_key;
    }
    void set(NodeOptions& node, const std::string& name) {
        node.model_dir = dir_.string();
        node.name = name;
        node.backend = "timed";
        node.timed = {500, 10, 200, 5, 100, 1};
        node.memory_bytes = 64 << 20;
        ports_.push_back(test::free_port());
        node.listen = "tcp://127.0.0.1:" + std::to_string(ports_.back());
        if (name == "head") head_key_ = make_key(name);
        node.security.key_file = path(name + ".key");
    }

    TempDir dir_;
    PublicKey head_key_;
    std::vector<int> ports_;
    std::unique_ptr<Engine> engine_;
    std::vector<std::unique_ptr<Worker>> workers_;
};

struct Run {
    double tokens_per_s = 0;
    double ttft_ms = 0;  // median
};

GenerateRequest request_of(int stream) {
    GenerateRequest request;
    for (int i = 0; i < 40; ++i) request.prompt_tokens.push_back((i * 11 + stream * 3) % kTokenIds);
    request.max_tokens = kTokens;
    request.ignore_eos = true;
    return request;
}

/// Runs batches of streams for a while.
Run measure(Engine& engine) {
    std::vector<double> ttft;
    double tokens = 0;
    const double begin_s = now_s();
    while (now_s() - begin_s < kSeconds) {
        test::Requests requests(engine);
        std::vector<RequestId> ids;
        std::vector<double> first(kStreams, 0);
        const double sent_s = now_s();
        for (int i = 0; i < kStreams; ++i) {
            ids.push_back(requests.submit(request_of(i), [&first, i](const RequestEvent& event) {
                double& at_s = first[static_cast<std::size_t>(i)];
                if (at_s == 0 && !event.tokens.empty()) at_s = now_s();
            }));
        }
        for (RequestId id : ids) {
            const test::Completion got = requests.wait(id).front();
            need(got.status);
            tokens += static_cast<double>(got.tokens.size());
        }
        for (double at_s : first) ttft.push_back((at_s - sent_s) * 1e3);
    }
    return {tokens / (now_s() - begin_s), median(ttft)};
}

/// The process of the strangers: does its work and says what it did.
int attack(int argc, char** argv) {
    (void)::nice(19);  // strangers are other machines: they take no core from this one's work
    test::Strangers strangers;
    for (int i = 3; i < argc; ++i) strangers.ports.push_back(std::stoi(argv[i]));
    strangers.per_s = kAttempts / kSeconds;
    const PublicKey server = *need(parse_public_key(argv[2]));
    const std::atomic<bool> over{false};
    int connections = 0;
    std::thread connecting([&] { connections = strangers.connect(kAttempts, kAttempts, 7, over); });
    const double begin_s = now_s();
    const int answered = strangers.knock(kAttempts, server, over);
    const double knocked_s = now_s() - begin_s;
    connecting.join();
    fmt::print("{} connections in {:.1f} s, {} keys in {:.1f} s, {} answers\n", connections,
               now_s() - begin_s, kAttempts, knocked_s, answered);
    return answered == 0 ? 0 : 1;
}

int run(const char* self) {
    KeyedCluster cluster;
    fmt::print("{}, {} cores; head and 2 timed workers on loopback, keys, {} streams\n",
               cpu_model(), std::thread::hardware_concurrency(), kStreams);
    std::vector<double> quiet, among, quiet_ttft, among_ttft;
    for (int round = 0; round < kRounds; ++round) {
        const Run alone = measure(cluster.engine());
        test::Process strangers(self, cluster.target());
        const Run attacked = measure(cluster.engine());
        const int status = strangers.wait(60);
        fmt::print("{:.0f} tokens/s alone, {:.0f} among strangers; TTFT {:.1f} and {:.1f} ms; {}",
                   alone.tokens_per_s, attacked.tokens_per_s, alone.ttft_ms, attacked.ttft_ms,
                   strangers.output());
        if (status != 0) fmt::print("the strangers ended with {}\n", status);
        quiet.push_back(alone.tokens_per_s);
        among.push_back(attacked.tokens_per_s);
        quiet_ttft.push_back(alone.ttft_ms);
        among_ttft.push_back(attacked.ttft_ms);
    }
    fmt::print(
        "medians: {:.0f} and {:.0f} tokens/s ({:.1f} %), TTFT {:.1f} and {:.1f} ms, epoch {}\n",
        median(quiet), median(among), 100 * median(among) / median(quiet), median(quiet_ttft),
        median(among_ttft), cluster.engine().cluster().epoch);
    return 0;
}

}  // namespace
}  // namespace molink::bench

int main(int argc, char** argv) {
    try {
        const bool attacks = argc > 3 && std::string(argv[1]) == "--attack";
        return attacks ? molink::bench::attack(argc, argv) : molink::bench::run(argv[0]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "strangers_bench: %s\n", error.what());
        return 1;
    }
}
