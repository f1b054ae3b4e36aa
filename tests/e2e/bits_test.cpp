// Tests that results do not depend on how the work is split: compares hashes of the logits at every
// position over nodes, slices, neighbours, threads, block sizes, weight and cache types, inside one
// process.
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <molink/engine.h>
#include <molink/worker.h>

#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;

namespace {

struct Setup {
    std::int32_t nodes = 1;
    bool local_stage = true;
    bool direct_feedback = true;
    LmHead lm_head = LmHead::last;
    std::int32_t slice = 64;
    std::int32_t threads = 1;
    std::int32_t block_tokens = 16;
    std::int32_t neighbours = 0;
    WeightFormat weights = WeightFormat::native;
    DataType kv = DataType::f32;
    DataType wire = DataType::f32;
    float temperature = 0;
    LinkModel link;  // shapes what every node sends; all zero: unshaped
};

struct Output {
    std::vector<Token> tokens;
    std::vector<std::uint64_t> hashes;
    bool operator==(const Output&) const = default;
};

/// Collects the outputs of requests and waits for their ends.
class Collector {
public:
    RequestCallback callback(std::size_t index) {
        const std::lock_guard lock(mutex_);
        outputs_.resize(std::max(outputs_.size(), index + 1));
        return [this, index](const RequestEvent& event) { add_event(index, event); };
    }
    std::vector<Output> wait(std::size_t count) {
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [&] { return done_ == count; });
        return outputs_;
    }

private:
    void add_event(std::size_t index, const RequestEvent& event) {
        const std::lock_guard lock(mutex_);
        Output& output = outputs_[index];
        output.tokens.insert(output.tokens.end(), event.tokens.begin(), event.tokens.end());
        if (event.finish_reason == FinishReason::none) return;
        output.hashes = event.logit_hashes;
        if (event.finish_reason == FinishReason::length) ++done_;
        ended_.notify_one();
    }
    std::mutex mutex_;
    std::condition_variable ended_;
    std::vector<Output> outputs_;
    std::size_t done_ = 0;
};

std::vector<Token> prompt_of(std::size_t index) {
    std::vector<Token> prompt;
    for (std::size_t i = 0; i < 70 + index; ++i) {
        prompt.push_back(static_cast<Token>((i * i * 7 + i * 13 + index * 31 + 5) % 256));
    }
    return prompt;
}

void fill(NodeOptions& options, const Setup& setup, const std::string& model,
          const std::shared_ptr<InprocHub>& network, const std::string& name) {
    options.model_dir = model;
    options.name = name;
    options.listen = "inproc://" + name;
    options.transport = [network, link = setup.link]() -> Result<std::unique_ptr<Transport>> {
        auto plain = network->make_transport();
        if (link.bytes_per_s <= 0) return plain;
        return make_shaped_transport(std::move(plain), link, steady_clock());
    };
    options.threads = setup.threads;
    options.weights = setup.weights;
    options.kv_type = setup.kv;
    options.block_tokens = setup.block_tokens;
    options.memory_bytes = 64 << 20;
}

/// Returns the output of prompt 0 while `neighbours` other requests run beside it.
Output run(const std::string& model, const Setup& setup) {
    const auto network = make_inproc_hub();
    EngineOptions options;
    fill(options, setup, model, network, "head");
    options.stages = setup.nodes;
    options.local_stage = setup.local_stage;
    options.direct_feedback = setup.direct_feedback;
    options.lm_head = setup.lm_head;
    options.max_slice_tokens = setup.slice;
    options.wire_type = setup.wire;
    // A split by measured times differs from run to run and may leave a node out.
    options.partitioner = make_even_partitioner();
    auto engine = Engine::open(std::move(options));
    INFO(engine.status().to_string());
    REQUIRE(engine.has_value());
    std::vector<std::unique_ptr<Worker>> workers;
    for (std::int32_t i = setup.local_stage ? 1 : 0; i < setup.nodes; ++i) {
        WorkerOptions worker;
        fill(worker, setup, model, network, "worker" + std::to_string(i));
        worker.join = "inproc://head";
        worker.give_up_after_us = 0;
        auto opened = Worker::open(std::move(worker));
        REQUIRE(opened.has_value());
        workers.push_back(std::move(*opened));
    }
    const Status ready = (*engine)->wait_ready(60'000'000);
    INFO(ready.to_string());
    REQUIRE(ready.ok());
    REQUIRE((*engine)->cluster().stages.size() == static_cast<std::size_t>(setup.nodes));
    REQUIRE((*engine)->partition().plan.lm_head_first == (setup.lm_head == LmHead::first));
    Collector collector;
    const auto count = static_cast<std::size_t>(setup.neighbours) + 1;
    for (std::size_t i = 0; i < count; ++i) {
        GenerateRequest request;
        request.prompt_tokens = prompt_of(i);
        request.max_tokens = 40;
        request.ignore_eos = true;
        request.hash_logits = true;
        request.sampling.temperature = setup.temperature;
        request.sampling.seed = 77 + i;
        auto id = (*engine)->submit(request, collector.callback(i));
        REQUIRE(id.has_value());
    }
    Output output = collector.wait(count)[0];
    const Status closed = (*engine)->close();
    REQUIRE(closed.ok());
    for (const auto& worker : workers) REQUIRE(worker->wait(10'000'000).ok());
    return output;
}

std::vector<Setup> variations(const Setup& base) {
    std::vector<Setup> all;
    const auto add = [&](auto change) {
        Setup setup = base;
        change(setup);
        all.push_back(setup);
    };
    for (std::int32_t nodes : {2, 3, 5}) add([&](Setup& s) { s.nodes = nodes; });
    for (std::int32_t slice : {1, 7}) add([&](Setup& s) { s.slice = slice; });
    add([](Setup& s) { s.threads = 2; });
    add([](Setup& s) { s.neighbours = 15; });
    add([](Setup& s) { s.block_tokens = 48; });
    add([](Setup& s) {
        s.nodes = 2;
        s.local_stage = false;
        s.slice = 7;
    });
    add([](Setup& s) {
        s.nodes = 3;
        s.slice = 7;
        s.threads = 2;
        s.neighbours = 15;
    });
    return all;
}

}  // namespace

TEST_CASE("logits are equal bit for bit however the work is split") {
    struct Kind {
        DataType stored;
        WeightFormat weights;
        DataType kv;
    };
    const std::vector<Kind> kinds{{DataType::f32, WeightFormat::native, DataType::f32},
                                  {DataType::bf16, WeightFormat::native, DataType::f16},
                                  {DataType::f16, WeightFormat::native, DataType::f32},
                                  {DataType::bf16, WeightFormat::q8_0, DataType::f32},
                                  {DataType::f32, WeightFormat::q8_0, DataType::f16}};
    for (const Kind& kind : kinds) {
        TempDir dir;
        TinyModelOptions tiny;
        tiny.type = kind.stored;
        REQUIRE(write_tiny_model(dir.path(), tiny).ok());
        Setup base;
        base.weights = kind.weights;
        base.kv = kind.kv;
        const Output expected = run(dir.path().string(), base);
        REQUIRE(expected.hashes.size() == 70 + 40 - 1);
        REQUIRE(std::set<Token>(expected.tokens.begin(), expected.tokens.end()).size() >= 16);
        for (const Setup& setup : variations(base)) {
            INFO("stored " << data_type_name(kind.stored) << ", nodes " << setup.nodes << ", slice "
                           << setup.slice << ", threads " << setup.threads << ", neighbours "
                           << setup.neighbours << ", block " << setup.block_tokens);
            REQUIRE(run(dir.path().string(), setup) == expected);
        }
    }
}

TEST_CASE("the LM head on the first stage gives the bits of one process") {
    TempDir dir;
    TinyModelOptions tiny;
    tiny.tied = true;
    tiny.type = DataType::bf16;
    REQUIRE(write_tiny_model(dir.path(), tiny).ok());
    for (float temperature : {0.0f, 0.9f}) {
        Setup base;
        base.temperature = temperature;
        const Output expected = run(dir.path().string(), base);
        REQUIRE(expected.hashes.size() == 70 + 40 - 1);
        for (Setup setup : variations(base)) {
            if (setup.nodes < 2) continue;
            setup.lm_head = LmHead::first;
            INFO("nodes " << setup.nodes << ", local stage " << setup.local_stage << ", slice "
                          << setup.slice << ", neighbours " << setup.neighbours);
            REQUIRE(run(dir.path().string(), setup) == expected);
            if (setup.local_stage) continue;
            setup.direct_feedback = false;
            REQUIRE(run(dir.path().string(), setup) == expected);
        }
    }
}

TEST_CASE("the LM head on the first stage needs tied embeddings") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    EngineOptions options;
    options.model_dir = dir.path().string();
    options.lm_head = LmHead::first;
    const Status status = Engine::open(std::move(options)).status();
    REQUIRE(status.code() == StatusCode::invalid_argument);
    REQUIRE(status.message().find(dir.path().string()) != std::string::npos);
    REQUIRE(status.message().find("tied") != std::string::npos);
}

TEST_CASE("seeded sampling gives the same tokens however the work is split") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    Setup base;
    base.temperature = 0.9f;
    const Output expected = run(dir.path().string(), base);
    const Output greedy = run(dir.path().string(), Setup());
    REQUIRE(expected.tokens != greedy.tokens);
    for (const Setup& setup : variations(base))
        REQUIRE(run(dir.path().string(), setup) == expected);
}

TEST_CASE("a weak link between the nodes changes only the time") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    const Output expected = run(dir.path().string(), Setup());
    Setup setup;
    setup.nodes = 3;
    setup.neighbours = 7;
    setup.link.bytes_per_s = 12.5e6;
    setup.link.delay_us = 2000;
    setup.link.jitter_us = 1000;
    REQUIRE(run(dir.path().string(), setup) == expected);
}

TEST_CASE("half-precision wires give the same result for the same split") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    for (DataType wire : {DataType::f16, DataType::bf16}) {
        Setup setup;
        setup.nodes = 3;
        setup.wire = wire;
        const Output first = run(dir.path().string(), setup);
        setup.slice = 7;
        setup.neighbours = 7;
        REQUIRE(run(dir.path().string(), setup) == first);
    }
}
