// The models of studies. A study knows only the shape of a model. Sizes are those of the published
// checkpoints; 160m and 1b are Llama shapes for quick studies. Relies on ModelSpec for parameters
// and bytes of KV, so that a study and an engine count alike.
#include <array>

#include <molink/study.h>

#include "base/error.h"
#include "base/limits.h"
#include "loader/json_parse.h"
#include "sim/json_reader.h"

namespace molink {
namespace {

struct Shape {
    std::string name;
    std::int32_t layers = 0;
    std::int32_t hidden = 0;
    std::int32_t q_heads = 0;
    std::int32_t kv_heads = 0;
    std::int32_t ffn = 0;
    std::int32_t vocabulary = 32000;
    bool tied = false;
};

const std::array<Shape, 5>& shapes() {
    static const std::array<Shape, 5> table = {{
        {"llama-2-7b", 32, 4096, 32, 32, 11008, 32000},
        {"llama-2-13b", 40, 5120, 40, 40, 13824, 32000},
        {"llama-2-70b", 80, 8192, 64, 8, 28672, 32000},
        {"160m", 12, 768, 12, 12, 3072, 32000},
        {"1b", 22, 2048, 32, 4, 5632, 32000},
    }};
    return table;
}

ModelSpec make_spec(const Shape& shape) {
    ModelSpec spec;
    spec.architecture = "LlamaForCausalLM";
    spec.layers = shape.layers;
    spec.hidden = shape.hidden;
    spec.vocabulary = shape.vocabulary;
    spec.attention.q_heads = shape.q_heads;
    spec.attention.kv_heads = shape.kv_heads;
    spec.attention.head_dim = shape.hidden / shape.q_heads;
    spec.mlp.ffn = shape.ffn;
    spec.tied_embeddings = shape.tied;
    return spec;
}

Status check_shape(const Shape& shape) {
    const auto check = [](const char* key, std::int64_t value, std::int64_t most) -> Status {
        if (value >= 1 && value <= most) return {};
        return invalid_argument("model: {} is {}; 1 to {} are permitted", key, value, most);
    };
    MOLINK_RETURN_IF_ERROR(check("layers", shape.layers, limits::kMaxLayers));
    MOLINK_RETURN_IF_ERROR(check("hidden", shape.hidden, limits::kMaxHidden));
    MOLINK_RETURN_IF_ERROR(check("q_heads", shape.q_heads, limits::kMaxHeads));
    MOLINK_RETURN_IF_ERROR(check("kv_heads", shape.kv_heads, shape.q_heads));
    MOLINK_RETURN_IF_ERROR(check("ffn", shape.ffn, limits::kMaxFeedForward));
    MOLINK_RETURN_IF_ERROR(check("vocabulary", shape.vocabulary, limits::kMaxVocabulary));
    if (shape.hidden % shape.q_heads == 0) return {};
    return invalid_argument("model: hidden {} is not a multiple of q_heads {}", shape.hidden,
                            shape.q_heads);
}

}  // namespace

Result<ModelSpec> study_model(std::string_view name) {
    std::string known;
    for (const Shape& shape : shapes()) {
        if (shape.name == name) return make_spec(shape);
        known += (known.empty() ? "" : ", ") + shape.name;
    }
    return make_error(StatusCode::not_found, "model '{}' is not built in; {} are", name, known);
}

Result<ModelSpec> parse_study_model(std::string_view json) {
    auto document = parse_json(json, "model");
    if (!document) return Status(StatusCode::invalid_argument, document.error().message());
    Shape shape;
    Status status;
    {
        sim::JsonReader reader(*document, "model", "", status);
        reader.text("name", shape.name);
        reader.integer("layers", shape.layers);
        reader.integer("hidden", shape.hidden);
        reader.integer("q_heads", shape.q_heads);
        shape.kv_heads = shape.q_heads;
        reader.integer("kv_heads", shape.kv_heads);
        reader.integer("ffn", shape.ffn);
        reader.integer("vocabulary", shape.vocabulary);
        reader.boolean("tied", shape.tied);
    }
    MOLINK_RETURN_IF_ERROR(status);
    MOLINK_RETURN_IF_ERROR(check_shape(shape));
    return make_spec(shape);
}

}  // namespace molink
