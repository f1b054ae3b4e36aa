// Specifications that the architecture files make from configurations, and those that are refused.
#include "model/arch_table.h"

#include <cmath>

#include "model/rope_table.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace molink;

namespace {

const std::string kConfig = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 100,
    "max_position_embeddings": 128, "rms_norm_eps": 1e-6)";

Result<Described> describe(const std::string& more) {
    TempDir dir;
    write_file(dir / "config.json", kConfig + more + "}");
    auto config = ConfigFile::load(dir.path());
    REQUIRE(config.has_value());
    return describe_model(*config);
}

void refused(const std::string& more, const std::string& words) {
    const auto described = describe(more);
    INFO(more << " -> " << described.status().to_string());
    REQUIRE_FALSE(described.has_value());
    REQUIRE(described.error().message().find(words) != std::string::npos);
}

}  // namespace

TEST_CASE("configurations of old and new versions give the same specification") {
    const auto plain = describe("");
    REQUIRE(plain.has_value());
    REQUIRE(plain->spec.attention.kv_heads == 4);
    REQUIRE(plain->spec.attention.head_dim == 16);
    REQUIRE(plain->spec.rope.theta == 10000.0);
    const std::string scaling = R"("factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
        "original_max_position_embeddings": 32)";
    const auto old = describe(R"(, "rope_theta": 500000, "torch_dtype": "bfloat16",
        "rope_scaling": {"rope_type": "llama3", )" +
                              scaling + "}");
    const auto now = describe(R"(, "dtype": "bfloat16",
        "rope_parameters": {"rope_theta": 500000, "rope_type": "llama3", )" +
                              scaling + "}");
    REQUIRE(old.has_value());
    REQUIRE(now.has_value());
    for (const auto& described : {old, now}) {
        REQUIRE(described->spec.rope.scaling == RopeScalingKind::llama3);
        REQUIRE(described->spec.rope.theta == 500000);
        REQUIRE(described->spec.rope.original_context == 32);
        REQUIRE(described->spec.stored_type == DataType::bf16);
    }
}

TEST_CASE("a configuration that cannot be executed is refused by name") {
    refused(R"(, "rope_scaling": {"type": "yarn", "factor": 4})", "yarn");
    refused(R"(, "rope_scaling": {"type": "dynamic", "factor": 4})", "dynamic");
    refused(R"(, "rope_scaling": {"type": "spiral", "factor": 4})", "'spiral' is unknown");
    refused(R"(, "hidden_act": "gelu")", "hidden_act 'gelu'");
    refused(R"(, "torch_dtype": "float8_e4m3fn")", "float8_e4m3fn");
    refused(R"(, "num_key_value_heads": 3)", "num_key_value_heads 3");
    refused(R"(, "head_dim": 15)", "15");
    refused(R"(, "head_dim": 4096)", "head dimension");
    const auto unknown = find_architecture("MambaForCausalLM");
    REQUIRE_FALSE(unknown.has_value());
    REQUIRE(unknown.error().message().find("known: LlamaForCausalLM") != std::string::npos);
}

TEST_CASE("an epsilon that is not positive in float32 is refused") {
    for (const std::string epsilon : {"0.0", "-1e-6", "1e-60"}) {
        std::string config = kConfig;
        config.replace(config.find("1e-6"), 4, epsilon);
        TempDir dir;
        write_file(dir / "config.json", config + "}");
        const auto file = ConfigFile::load(dir.path());
        REQUIRE(file.has_value());
        const auto described = describe_model(*file);
        REQUIRE_FALSE(described.has_value());
        REQUIRE(described.error().message().find("rms_norm_eps") != std::string::npos);
    }
}

TEST_CASE("a specification that the layers cannot execute is refused by field") {
    const ModelSpec plain = describe("")->spec;
    REQUIRE(check_supported(plain).ok());
    const auto refuses = [&](void (*change)(ModelSpec&), const std::string& words) {
        ModelSpec spec = plain;
        change(spec);
        const Status status = check_supported(spec);
        INFO(status.to_string());
        REQUIRE(status.code() == StatusCode::unimplemented);
        REQUIRE(status.message().find(words) != std::string::npos);
    };
    refuses([](ModelSpec& s) { s.attention.kind = AttentionKind::latent; }, "latent");
    refuses([](ModelSpec& s) { s.position = PositionKind::alibi; }, "rope");
    refuses([](ModelSpec& s) { s.norm.kind = NormKind::layer; }, "layer norm");
    refuses([](ModelSpec& s) { s.residual = ResidualKind::parallel; }, "parallel");
    refuses([](ModelSpec& s) { s.mlp.moe = MoeSpec(); }, "experts");
    refuses([](ModelSpec& s) { s.mamba = MambaSpec(); }, "recurrent");
    refuses([](ModelSpec& s) { s.mlp.gated = false; }, "gate");
}

TEST_CASE("rotary frequencies and tables follow from the specification") {
    RopeSpec rope;
    rope.rotary_dim = 4;
    rope.theta = 100;
    const auto plain = rope_frequencies(rope);
    REQUIRE(plain == std::vector<float>{1.0f, 0.1f});
    rope.scaling = RopeScalingKind::linear;
    rope.factor = 4;
    REQUIRE(rope_frequencies(rope) == std::vector<float>{0.25f, 0.025f});
    const RopeTable table = make_rope_table(rope, 3);
    REQUIRE(table.cos.size() == 6);
    REQUIRE(table.cos[4] == static_cast<float>(std::cos(0.5)));
    REQUIRE(table.sin[5] == static_cast<float>(std::sin(static_cast<double>(0.025f * 2.0f))));
}
