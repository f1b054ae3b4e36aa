// Reads a model folder's config.json; its generation_config.json follows after the first NUL byte.
// An accepted model must be within the limits on which all other code relies.
#include <cmath>
#include <string>

#include <molink/model_spec.h>

#include "base/limits.h"
#include "fuzz_input.h"
#include "loader/config_file.h"
#include "model/arch_table.h"
#include "scratch_dir.h"

using namespace molink;

namespace {

__extension__ typedef __int128 Wide;

bool within(std::int64_t value, std::int64_t low, std::int64_t high) {
    return value >= low && value <= high;
}

void check_spec(const ModelSpec& spec) {
    FUZZ_CHECK(within(spec.hidden, 1, limits::kMaxHidden));
    FUZZ_CHECK(within(spec.layers, 1, limits::kMaxLayers));
    FUZZ_CHECK(within(spec.vocabulary, 1, limits::kMaxVocabulary));
    FUZZ_CHECK(within(spec.context, 1, limits::kMaxContext));
    FUZZ_CHECK(within(spec.attention.q_heads, 1, limits::kMaxHeads));
    FUZZ_CHECK(within(spec.attention.kv_heads, 1, spec.attention.q_heads));
    FUZZ_CHECK(spec.attention.q_heads % spec.attention.kv_heads == 0);
    FUZZ_CHECK(within(spec.attention.head_dim, 2, 512));
    FUZZ_CHECK(within(spec.mlp.ffn, 1, limits::kMaxFeedForward));
    FUZZ_CHECK(spec.layer_specs.empty() ||
               spec.layer_specs.size() == static_cast<std::size_t>(spec.layers));
    FUZZ_CHECK(within(spec.rope.rotary_dim, 2, spec.attention.head_dim));
    FUZZ_CHECK(std::isfinite(spec.rope.theta) && spec.rope.theta > 0);
    FUZZ_CHECK(std::isfinite(spec.rope.factor) && spec.rope.factor > 0);
    FUZZ_CHECK(std::isfinite(spec.norm.epsilon) && spec.norm.epsilon > 0);
    FUZZ_CHECK(within(spec.bos_token, -1, spec.vocabulary - 1));
    for (const Token token : spec.eos_tokens) FUZZ_CHECK(within(token, 0, spec.vocabulary - 1));
    FUZZ_CHECK(layer_parameters(spec) > 0 && embedding_parameters(spec) > 0);
    FUZZ_CHECK(kv_bytes_per_position(spec, DataType::f32) > 0);
    // The partitioner sums these: the bytes of a whole model must fit into 63 bits.
    const auto whole = static_cast<Wide>(layer_parameters(spec)) * spec.layers +
                       2 * static_cast<Wide>(embedding_parameters(spec));
    FUZZ_CHECK(whole * 4 < (static_cast<Wide>(1) << 63));
}

void read_every_way(const ConfigObject& object, int depth) {
    for (const std::string& key : object.keys()) {
        const bool present = object.has(key);
        const auto integer = object.int64(key, -5, 1000);
        FUZZ_CHECK(!integer || (present && within(*integer, -5, 1000)));
        const auto number = object.number(key);
        FUZZ_CHECK(!number || std::isfinite(*number));
        const auto text = object.optional_string(key);
        FUZZ_CHECK(!text || text->has_value() == present);
        (void)object.boolean(key).has_value();
        (void)object.string_list(key).has_value();
        const auto list = object.int64_list(key, 0, 7);
        if (list) {
            for (const std::int64_t value : *list) FUZZ_CHECK(within(value, 0, 7));
        }
        const auto child = object.object(key);
        if (child && depth < 4) read_every_way(*child, depth + 1);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static fuzz::ScratchDir scratch;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::size_t nul = text.find('\0');
    scratch.write("config.json", text.substr(0, nul));
    if (nul == std::string_view::npos) {
        scratch.remove("generation_config.json");
    } else {
        scratch.write("generation_config.json", text.substr(nul + 1));
    }
    const auto config = ConfigFile::load(scratch.path());
    if (!config) {
        FUZZ_CHECK(config.error().code() == StatusCode::data_loss);
        return 0;
    }
    read_every_way(*config, 0);
    if (config->generation()) read_every_way(*config->generation(), 0);
    (void)config->eos_tokens(100).has_value();
    (void)config->bos_token(100).has_value();
    const auto described = describe_model(*config);
    if (described) check_spec(described->spec);

    const std::string canonical = config->canonical_text();
    scratch.write("config.json", canonical);
    const auto again = ConfigFile::load(scratch.path());
    FUZZ_CHECK(again.has_value() && again->canonical_text() == canonical);
    return 0;
}
