// Compares sizes computed from a specification with the tensors of a model.
#include <molink/model_spec.h>

#include <string>

#include "loader/checkpoint.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;

namespace {

ModelSpec tiny_spec() {
    ModelSpec spec;
    spec.hidden = 64;
    spec.layers = 6;
    spec.vocabulary = 272;
    spec.attention.q_heads = 4;
    spec.attention.kv_heads = 2;
    spec.attention.head_dim = 16;
    spec.mlp.ffn = 96;
    spec.layer_specs.resize(6);
    return spec;
}

}  // namespace

TEST_CASE("parameters agree with the tensors of a model", "[model_spec]") {
    const TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    const Checkpoint checkpoint = Checkpoint::open(dir.path()).value();
    std::int64_t layer_bytes = 0;
    for (const std::string& name : checkpoint.names()) {
        if (name.rfind("model.layers.3.", 0) != 0) continue;
        layer_bytes += static_cast<std::int64_t>(checkpoint.tensor(name)->bytes);
    }
    CHECK(layer_parameters(tiny_spec()) * 4 == layer_bytes);
    CHECK(embedding_parameters(tiny_spec()) * 4 ==
          static_cast<std::int64_t>(checkpoint.tensor("model.embed_tokens.weight")->bytes));
}

TEST_CASE("biases, norms and gates are counted", "[model_spec]") {
    const std::int64_t plain = layer_parameters(tiny_spec());
    ModelSpec spec = tiny_spec();
    spec.attention.q_bias = spec.attention.k_bias = spec.attention.v_bias = spec.attention.o_bias =
        true;
    CHECK(layer_parameters(spec) == plain + 64 + 32 + 32 + 64);
    spec = tiny_spec();
    spec.attention.qk_norm = true;
    CHECK(layer_parameters(spec) == plain + 32);
    spec = tiny_spec();
    spec.norm.kind = NormKind::layer;
    CHECK(layer_parameters(spec) == plain + 128);
    spec = tiny_spec();
    spec.norm.placement = NormPlacement::before_and_after;
    CHECK(layer_parameters(spec) == plain + 128);
    spec = tiny_spec();
    spec.mlp.gated = false;
    CHECK(layer_parameters(spec) == plain - 64 * 96);
    spec = tiny_spec();
    spec.mlp.bias = true;
    CHECK(layer_parameters(spec) == plain + 2 * 96 + 64);
}

TEST_CASE("the largest layer counts", "[model_spec]") {
    ModelSpec spec = tiny_spec();
    const std::int64_t plain = layer_parameters(spec);
    spec.mlp.moe = MoeSpec{8, 2, 1, 48, false};
    CHECK(layer_parameters(spec) == plain);
    spec.layer_specs[3].moe = true;
    CHECK(layer_parameters(spec) == plain - 3 * 64 * 96 + 9 * 3 * 64 * 48 + 64 * 8);
    CHECK(layer_parameters(ModelSpec()) >= 0);
}

TEST_CASE("KV bytes of a position follow from heads and type", "[model_spec]") {
    ModelSpec spec = tiny_spec();
    CHECK(kv_bytes_per_position(spec, DataType::f16) == 2 * 2 * 16 * 2);
    CHECK(kv_bytes_per_position(spec, DataType::f32) == 2 * 2 * 16 * 4);
    spec.attention.latent = LatentSpec{0, 512, 64, 128};
    CHECK(kv_bytes_per_position(spec, DataType::bf16) == (512 + 64) * 2);
}
