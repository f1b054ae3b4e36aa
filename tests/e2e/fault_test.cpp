// Models whose rows are not numbers. A request that meets such a row ends with an error that names
// the stage, its layers and the position; requests beside it get the tokens of the sound model, and
// nothing that the row has left in the cache is used again. On CPUs and on a foreign device.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <limits>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "support/catch.h"
#include "support/foreign_backend.h"
#include "support/local_cluster.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using namespace molink::test;

namespace {

constexpr Token kBad = 200;  ///< its embedding is broken in the models of poisoned()
constexpr std::size_t kHidden = 64;

/// Changes the f32 values [begin, begin + count) of a tensor of a model's file.
void change_values(const std::filesystem::path& model, const std::string& tensor, std::size_t begin,
                   std::size_t count, const std::function<float(float)>& change) {
    std::fstream file(model / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    std::string length(8, '\0');
    file.read(length.data(), 8);
    const auto header_bytes = read_le<std::uint64_t>(std::as_bytes(std::span(length)), 0);
    std::string header(header_bytes, '\0');
    file.read(header.data(), static_cast<std::streamsize>(header_bytes));
    REQUIRE(file.good());
    const auto entry = nlohmann::json::parse(header).at(tensor);
    REQUIRE(entry.at("dtype") == "F32");
    const std::size_t at =
        8 + header_bytes + entry.at("data_offsets")[0].get<std::size_t>() + begin * sizeof(float);
    std::vector<float> values(count);
    file.seekg(static_cast<std::streamoff>(at));
    file.read(reinterpret_cast<char*>(values.data()),
              static_cast<std::streamsize>(count * sizeof(float)));
    for (float& value : values) value = change(value);
    file.seekp(static_cast<std::streamoff>(at));
    file.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(count * sizeof(float)));
    REQUIRE(file.good());
}

/// A model in which the embedding of kBad is multiplied by `factor`.
std::filesystem::path poisoned(const TempDir& dir, const std::string& name, float factor) {
    const std::filesystem::path model = dir.path() / name;
    REQUIRE(write_tiny_model(model).ok());
    change_values(model, "model.embed_tokens.weight", kBad * kHidden, kHidden,
                  [&](float value) { return value * factor; });
    return model;
}

struct Setup {
    std::int32_t nodes = 2;
    bool local_stage = true;
    LmHead lm_head = LmHead::last;
    std::string device = "cpu";
    DataType wire = DataType::f32;
};

std::vector<Setup> setups() {
    register_foreign_backend();
    return {{1, true, LmHead::last, "cpu", DataType::f32},
            {2, true, LmHead::last, "cpu", DataType::f32},
            {3, false, LmHead::last, "cpu", DataType::bf16},
            {3, true, LmHead::last, "cpu", DataType::int8},
            {2, false, LmHead::last, "cpu", DataType::f16},
            {1, true, LmHead::last, "foreign:0", DataType::f32},
            {2, true, LmHead::last, "foreign:1", DataType::f32},
            {3, false, LmHead::last, "foreign:0", DataType::f32}};
}

LocalClusterOptions options_of(const std::filesystem::path& model, const Setup& setup) {
    LocalClusterOptions options;
    options.model_dir = model.string();
    options.nodes = setup.nodes;
    options.local_stage = setup.local_stage;
    options.each = [setup](NodeOptions& node) { node.backend = setup.device; };
    options.engine = [setup](EngineOptions& engine) {
        engine.wire_type = setup.wire;
        engine.lm_head = setup.lm_head;
        engine.max_slice_tokens = 16;
        engine.partitioner = make_even_partitioner();
    };
    return options;
}

/// A prompt without kBad.
GenerateRequest request_of(int index) {
    GenerateRequest request;
    for (int i = 0; i < 45 + index; ++i) {
        request.prompt_tokens.push_back(static_cast<Token>((i * i * 7 + i * 13 + index) % 190));
    }
    request.max_tokens = 20;
    request.ignore_eos = true;
    request.logprobs = index % 3 == 1 ? 2 : -1;
    request.sampling.temperature = index % 3 == 2 ? 0.7f : 0.0f;
    request.sampling.seed = 5 + static_cast<std::uint64_t>(index);
    // Greedy answers without any option do not contain kBad; their argmax is the device's.
    if (index % 3 != 0) request.sampling.logit_bias = {{kBad, -100.0f}};
    return request;
}

std::vector<std::vector<Token>> run_all(Requests& requests, int count) {
    std::vector<RequestId> ids;
    for (int i = 0; i < count; ++i) ids.push_back(requests.submit(request_of(i)));
    std::vector<std::vector<Token>> tokens;
    for (const RequestId id : ids) {
        const Completion completion = requests.wait(id).front();
        INFO(completion.status.to_string());
        REQUIRE(completion.reason == FinishReason::length);
        tokens.push_back(completion.tokens);
    }
    return tokens;
}

void require_fault(const Completion& completion, const std::string& layers, int position) {
    INFO(completion.status.to_string());
    REQUIRE(completion.reason == FinishReason::error);
    CHECK(completion.status.code() == StatusCode::data_loss);
    const std::string& text = completion.status.message();
    CHECK(text.find(layers) != std::string::npos);
    CHECK(text.find("at position " + std::to_string(position)) ==
          text.size() - std::string("at position ").size() - std::to_string(position).size());
}

}  // namespace

TEST_CASE("a row that is not a number ends its request alone, in the prompt and in the answer") {
    TempDir dir;
    const auto sound = dir.path() / "sound";
    REQUIRE(write_tiny_model(sound).ok());
    const auto broken = poisoned(dir, "broken", std::numeric_limits<float>::quiet_NaN());
    for (const Setup& setup : setups()) {
        INFO(setup.nodes << " nodes, " << setup.device << ", "
                         << std::string(data_type_name(setup.wire)));
        std::vector<std::vector<Token>> expected;
        {
            LocalCluster cluster(options_of(sound, setup));
            Requests requests(cluster.engine());
            expected = run_all(requests, 6);
        }
        LocalCluster cluster(options_of(broken, setup));
        Requests requests(cluster.engine());
        const std::string layers = setup.nodes == 1   ? "stage 0 (layers 0-5)"
                                   : setup.nodes == 2 ? "stage 0 (layers 0-2)"
                                                      : "stage 0 (layers 0-1)";
        GenerateRequest in_prompt = request_of(9);
        in_prompt.prompt_tokens[37] = kBad;
        GenerateRequest in_answer = request_of(7);  // is made to say kBad at once
        in_answer.sampling.temperature = 0;
        in_answer.sampling.logit_bias = {{kBad, 100.0f}};
        const auto end = static_cast<int>(in_answer.prompt_tokens.size());
        for (int round = 0; round < 2; ++round) {
            const RequestId first = requests.submit(in_prompt);
            const RequestId second = requests.submit(in_answer);
            CHECK(run_all(requests, 6) == expected);
            const Completion prompt = requests.wait(first).front();
            require_fault(prompt, layers, 37);
            CHECK(prompt.tokens.empty());
            CHECK(prompt.cached_tokens <= 32);  // whole blocks before the row
            const Completion answer = requests.wait(second).front();
            require_fault(answer, layers, end);
            CHECK(answer.tokens == std::vector<Token>{kBad});
        }
        // What the faulty prompt shares with a sound one may come from the cache.
        GenerateRequest shared = request_of(9);
        CHECK(requests.run(shared).reason == FinishReason::length);
    }
}

TEST_CASE("weights that overflow are told by the stage that holds them") {
    std::vector<Setup> all = setups();
    all.push_back({3, false, LmHead::first, "cpu", DataType::f32});
    all.push_back({2, true, LmHead::first, "foreign:1", DataType::bf16});
    for (const Setup& setup : all) {
        TempDir dir;
        const auto model = dir.path() / "model";
        TinyModelOptions tiny;
        tiny.tied = setup.lm_head == LmHead::first;
        REQUIRE(write_tiny_model(model, tiny).ok());
        change_values(model, "model.layers.4.mlp.down_proj.weight", 0, kHidden * 96,
                      [](float value) { return value * 1e38f; });
        INFO(setup.nodes << " nodes, " << setup.device);
        LocalCluster cluster(options_of(model, setup));
        Requests requests(cluster.engine());
        const std::string layers = setup.nodes == 1   ? "stage 0 (layers 0-5)"
                                   : setup.nodes == 2 ? "stage 1 (layers 3-5)"
                                                      : "stage 2 (layers 4-5)";
        for (int i = 0; i < 3; ++i) require_fault(requests.run(request_of(i)), layers, 0);
        GenerateRequest several = request_of(1);
        several.n = 3;
        const auto completions = requests.wait(requests.submit(several));
        for (const Completion& completion : completions) require_fault(completion, layers, 0);
    }
}

TEST_CASE("rows that f16 cannot express travel as bf16") {
    TempDir dir;
    const auto model = poisoned(dir, "large", 3e6f);
    for (const DataType wire : {DataType::f16, DataType::int8, DataType::bf16, DataType::f32}) {
        Setup setup;
        setup.nodes = 3;
        setup.wire = wire;
        LocalCluster cluster(options_of(model, setup));
        Requests requests(cluster.engine());
        GenerateRequest request = request_of(0);
        request.prompt_tokens[20] = kBad;
        const Completion completion = requests.run(request);
        INFO(std::string(data_type_name(wire)) << ": " << completion.status.to_string());
        CHECK(completion.reason == FinishReason::length);
        CHECK(completion.tokens.size() == 20);
    }
}

TEST_CASE("activations whose squares overflow are not taken for zeros") {
    TempDir dir;
    const auto model = poisoned(dir, "huge", 1e25f);
    for (const DataType wire : {DataType::f32, DataType::f16, DataType::int8}) {
        Setup setup;
        setup.wire = wire;
        LocalCluster cluster(options_of(model, setup));
        Requests requests(cluster.engine());
        GenerateRequest request = request_of(0);
        request.prompt_tokens[20] = kBad;
        require_fault(requests.run(request), "stage 0 (layers 0-2)", 20);
    }
}
