// A timed stage counts memory like a stage that computes: weights, KV blocks and refusals are the
// same.
#include "stage/timed_work.h"

#include "loader/checkpoint.h"
#include "stage/model_work.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;

namespace {

StageConfig config_of(LayerRange layers, std::uint64_t memory) {
    StageConfig config;
    // The first, middle or last of three stages, or a single stage.
    config.ring = RingShape(layers.size() == 6 ? 1 : 3, false, false);
    config.stage = layers.begin == 0 ? 0 : layers.end == 6 ? 2 : 1;
    config.layers = layers;
    config.max_rows = 32;
    config.max_sequences = 4;
    config.max_context = 128;
    config.memory_bytes = memory;
    config.max_kv_blocks = 10'000;
    return config;
}

bool go_on(std::uint64_t, std::uint64_t) {
    return true;
}

}  // namespace

TEST_CASE("a timed stage counts the same memory as a stage that computes") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    for (const WeightFormat weights : {WeightFormat::native, WeightFormat::q8_0}) {
        ModelWorkOptions computing;
        computing.model_dir = dir.string();
        computing.weights = weights;
        computing.kv_type = DataType::f16;
        auto real = make_model_work(computing);
        REQUIRE(real.has_value());
        TimedWorkOptions options;
        options.spec = describe_model(ConfigFile::load(dir.string()).value()).value().spec;
        options.format = weights;
        options.kv_type = ElementType::f16;
        options.backend = make_backend("cpu", {}).value();
        const auto timed = make_timed_work(options);
        for (const LayerRange layers : {LayerRange{0, 6}, {0, 2}, {2, 5}, {5, 6}}) {
            for (const std::uint64_t memory : {200'000u, 600'000u, 2'000'000u, 64'000'000u}) {
                const StageConfig config = config_of(layers, memory);
                const auto expected = (*real)->load(config, go_on);
                const auto got = timed->load(config, go_on);
                INFO("layers " << layers.begin << "-" << layers.end << ", " << memory << " bytes");
                REQUIRE(got.has_value() == expected.has_value());
                if (!expected) {
                    CHECK(got.error().to_string() == expected.error().to_string());
                    continue;
                }
                CHECK(got->weight_bytes == expected->weight_bytes);
                CHECK(got->kv_block_capacity == expected->kv_block_capacity);
            }
        }
    }
}
