// The processes and the relay of one measurement. Every node listens on a port of loopback and
// advertises a relayed port, so that every connection between two nodes goes through the relay.
#include "cluster.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "streams.h"

namespace molink::bench {
namespace {

constexpr double kTimedGib = 24;     // of a node
constexpr double kComputingGib = 3;  // of a node; several share this machine

std::string address_of(int port) {
    return fmt::format("tcp://127.0.0.1:{}", port);
}

double memory_gib(const Cell& cell) {
    return cell.system.timed() ? kTimedGib : kComputingGib;
}

EngineOptions head_options(const Cell& cell, const std::string& model) {
    EngineOptions options;
    options.model_dir = model;
    options.stages = cell.system.nodes;
    options.local_stage = cell.system.local_stage;
    options.direct_feedback = cell.system.direct_feedback;
    options.probe_links = false;  // else the plan may leave out nodes behind weak links
    options.threads = 1;
    options.wire_type = wire_type(cell.system.wire);
    options.max_running = cell.workload.streams + kSpareRunning;
    options.max_step_tokens = kMaxStepTokens;
    options.max_slice_tokens = kMaxStepTokens;
    options.max_context = kShortPrompt + kLongestOutput + 1;
    options.prefix_cache = false;
    SchedulerOptions named;
    named.step_tokens = cell.step_tokens;
    auto scheduler = make_scheduler(cell.scheduler, named);
    if (!scheduler) throw std::runtime_error(scheduler.error().message());
    options.scheduler = std::move(*scheduler);
    options.transmit = [name = cell.transmit] { return std::move(*make_transmit_policy(name)); };
    if (cell.system.timed()) {
        options.backend = "timed";
        options.timed = read_profile(cell.system.profile);
    } else {
        options.weights = WeightFormat::q8_0;
    }
    options.memory_bytes = static_cast<std::int64_t>(memory_gib(cell) * (1 << 30));
    return options;
}

std::vector<std::string> worker_flags(const Cell& cell, const std::string& model) {
    std::vector<std::string> flags{
        "--model",    model,         "--threads",    "1",
        "--transmit", cell.transmit, "--memory-gib", fmt::format("{}", memory_gib(cell))};
    const auto add = [&](std::initializer_list<std::string> more) {
        flags.insert(flags.end(), more);
    };
    if (!cell.system.timed()) {
        add({"--weights", "q8_0"});
    } else {
        add({"--backend", "timed", "--profile", cell.system.profile});
    }
    return flags;
}

/// Returns the CPU seconds of the threads of a process that compute no layers.
double handling_seconds(const std::string& process) {
    constexpr std::array kComputing{"molink-compute", "molink-pool", "molink-prefault"};
    double sum_ns = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + process + "/task")) {
        std::string name;
        double ns = 0;
        std::getline(std::ifstream(task.path() / "comm"), name);
        std::ifstream(task.path() / "schedstat") >> ns;
        if (std::find(kComputing.begin(), kComputing.end(), name) == kComputing.end()) sum_ns += ns;
    }
    return sum_ns * 1e-9;
}

}  // namespace

DataType wire_type(const std::string& name) {
    for (DataType type : {DataType::f32, DataType::f16, DataType::bf16, DataType::int8}) {
        if (data_type_name(type) == name) return type;
    }
    throw std::runtime_error("--wire is '" + name + "'; f32, f16, bf16 and int8 are permitted");
}

TimedProfile read_profile(const std::string& path) {
    std::ifstream file(path);
    const auto json = nlohmann::json::parse(file, nullptr, false);
    if (!json.is_object()) throw std::runtime_error("cannot read the profile " + path);
    TimedProfile profile;
    profile.decode_layer_us = json.value("decode_layer_us", 0.0);
    profile.decode_row_layer_us = json.value("decode_row_layer_us", 0.0);
    profile.prefill_layer_us = json.value("prefill_layer_us", 0.0);
    profile.prefill_row_layer_us = json.value("prefill_row_layer_us", 0.0);
    profile.lm_head_us = json.value("lm_head_us", 0.0);
    profile.lm_head_row_us = json.value("lm_head_row_us", 0.0);
    return profile;
}

int BenchCluster::relay_port(const LinkShape& link, int target) {
    test::RelayedLink shape;
    shape.up_bytes_per_s = link.up_mbit_per_s * 125'000;
    shape.down_bytes_per_s = link.down_mbit_per_s * 125'000;
    shape.delay_us = static_cast<std::int64_t>(link.delay_ms * 1000);
    shape.jitter_us = static_cast<std::int64_t>(link.jitter_ms * 1000);
    const int number = relay_.add(target, shape);
    ports_.push_back({number, {shape.up_bytes_per_s, shape.down_bytes_per_s}});
    return number;
}

PublicKey BenchCluster::make_key(const std::string& name) const {
    const KeyPair pair = make_key_pair();
    const Status written = write_key_file(path_of(name), pair);
    if (!written.ok()) throw std::runtime_error(written.message());
    return pair.public_key;
}

BenchCluster::BenchCluster(const Cell& cell, const std::string& model,
                           const std::string& programs) {
    EngineOptions options = head_options(cell, model);
    const int head = test::free_port();
    // Workers dial the head, so the head sends down. It must have the rate from a node to the next.
    LinkShape of_head = cell.link;
    std::swap(of_head.up_mbit_per_s, of_head.down_mbit_per_s);
    options.listen = address_of(head);
    options.advertise = address_of(relay_port(of_head, head));
    const std::string join = options.advertise;
    std::string head_key;
    const std::int32_t workers = cell.system.nodes - (cell.system.local_stage ? 1 : 0);
    if (cell.keys) {
        head_key = key_text(make_key("head"));
        options.security.key_file = path_of("head");
        options.security.allow_file = path_of("allow");
        for (std::int32_t i = 1; i <= workers; ++i) {
            const std::string name = fmt::format("worker-{}", i);
            const Status allowed = allow_key(path_of("allow"), make_key(name), name);
            if (!allowed.ok()) throw std::runtime_error(allowed.message());
        }
    }
    auto engine = Engine::open(std::move(options));
    if (!engine) throw std::runtime_error(engine.error().message());
    engine_ = std::move(*engine);
    for (std::int32_t i = 1; i <= workers; ++i) {
        const int port = test::free_port();
        std::vector<std::string> flags = worker_flags(cell, model);
        flags.insert(
            flags.end(),
            {"--join", join, "--give-up-after", "0", "--listen", address_of(port), "--advertise",
             address_of(relay_port(cell.link, port)), "--name", fmt::format("worker-{}", i)});
        if (cell.keys) {
            flags.insert(flags.end(),
                         {"--key", path_of(fmt::format("worker-{}", i)), "--head-key", head_key});
        }
        workers_.push_back(std::make_unique<test::Process>(programs + "/molink-worker", flags));
    }
    const Status ready = engine_->wait_ready(60'000'000);
    if (!ready.ok()) throw std::runtime_error(ready.message());
}

BenchCluster::~BenchCluster() {
    (void)engine_->close();
    for (auto& worker : workers_) worker->wait(10);
}

double BenchCluster::handling_s() const {
    double sum = handling_seconds("self");
    for (const auto& worker : workers_) sum += handling_seconds(std::to_string(worker->pid()));
    return sum;
}

std::vector<std::array<std::uint64_t, 2>> BenchCluster::link_bytes() const {
    std::vector<std::array<std::uint64_t, 2>> bytes;
    for (const Port& port : ports_) bytes.push_back(relay_.bytes(port.number));
    return bytes;
}

}  // namespace molink::bench
