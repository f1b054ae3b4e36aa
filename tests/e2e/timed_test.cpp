// Tests the timed backend in real nodes: known tokens over real links in every wire format, times
// of the profile, and the memory of a node that computes.
#include "sim/fold.h"
#include "support/catch.h"
#include "support/local_cluster.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using namespace molink::test;

namespace {

constexpr std::int32_t kNodes = 3;

/// A folder with a configuration and no weights.
struct Shape {
    Shape() {
        REQUIRE(write_tiny_model(dir.path()).ok());
        REQUIRE(std::filesystem::remove(dir.path() / "model.safetensors"));
    }
    TempDir dir;
};

LocalClusterOptions timed_cluster(const Shape& shape) {
    LocalClusterOptions options;
    options.model_dir = shape.dir.path();
    options.nodes = kNodes;
    options.each = [](NodeOptions& node) {
        node.backend = "timed";
        node.timed = {200, 10, 50, 5, 100, 1};
        node.memory_bytes = 64 << 20;
    };
    return options;
}

GenerateRequest request_of(std::int32_t index) {
    GenerateRequest request;
    for (std::int32_t i = 0; i < 40 + index; ++i) {
        request.prompt_tokens.push_back((i * 7 + index * 5) % (kFoldVocabulary - 1));
    }
    request.max_tokens = 12;
    request.ignore_eos = true;
    return request;
}

}  // namespace

TEST_CASE("timed stages give the known tokens over every wire format") {
    const Shape shape;
    for (const DataType wire : {DataType::f32, DataType::f16, DataType::bf16, DataType::int8}) {
        LocalClusterOptions options = timed_cluster(shape);
        options.engine = [&](EngineOptions& engine) {
            engine.wire_type = wire;
            engine.max_slice_tokens = 16;
        };
        LocalCluster cluster(options);
        Requests requests(cluster.engine());
        std::vector<RequestId> ids;
        for (std::int32_t i = 0; i < 6; ++i) ids.push_back(requests.submit(request_of(i)));
        for (std::int32_t i = 0; i < 6; ++i) {
            const auto got = requests.wait(ids[static_cast<std::size_t>(i)]).front();
            const auto layers = cluster.engine().model().layers;
            REQUIRE(got.tokens == sim::expect(request_of(i), 0, {layers}).tokens);
        }
        for (const StageMetrics& stage : cluster.engine().metrics().stages) {
            const double layers = stage.layers.size();
            REQUIRE(static_cast<double>(stage.compute_us) >=
                    static_cast<double>(stage.parts) * layers * 50);
        }
    }
}

TEST_CASE("a timed node plans with and offers the memory of one that computes") {
    TempDir dir;
    TinyModelOptions model;
    model.vocabulary = 2000;
    REQUIRE(write_tiny_model(dir.path(), model).ok());
    std::vector<StagePlan> planned;
    std::vector<std::int64_t> offered;
    for (const char* backend : {"cpu", "timed"}) {
        EngineOptions options;
        options.model_dir = dir.string();
        options.backend = backend;
        options.timed = {200, 10, 50, 5, 100, 1};
        options.memory_bytes = 4 << 20;
        options.max_step_tokens = options.max_slice_tokens = 64;
        options.max_context = 256;
        options.kv_type = DataType::f16;
        auto engine = Engine::open(std::move(options));
        INFO(engine.status().to_string());
        REQUIRE(engine.has_value());
        REQUIRE((*engine)->wait_ready(10'000'000).ok());
        planned.push_back((*engine)->partition().plan.stages.front());
        offered.push_back((*engine)->metrics().kv_blocks_total);
    }
    CHECK(planned[0].kv_blocks < 16 * 256 / 16);  // memory limits it, not what is useful
    CHECK(planned[0].weight_bytes == planned[1].weight_bytes);
    CHECK(planned[0].kv_blocks == planned[1].kv_blocks);
    CHECK(offered[0] == planned[0].kv_blocks);
    CHECK(offered[1] == planned[0].kv_blocks);
}

TEST_CASE("a profile without times, and a node without memory, are refused") {
    const Shape shape;
    EngineOptions options;
    options.model_dir = shape.dir.path();
    options.backend = "timed";
    auto engine = Engine::open(std::move(options));
    REQUIRE_FALSE(engine.has_value());
    REQUIRE(engine.error().message() == "backend timed: its profile gives no time to a decode row");

    EngineOptions small;
    small.model_dir = shape.dir.path();
    small.backend = "timed";
    small.timed.decode_layer_us = 1;
    small.memory_bytes = 1000;
    engine = Engine::open(std::move(small));
    REQUIRE(engine.has_value());
    REQUIRE((*engine)->wait_ready(10'000'000).code() == StatusCode::resource_exhausted);
}
