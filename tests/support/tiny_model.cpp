// Tiny models for tests: random weights in the same layout as real ones, and a byte-level
// tokenizer, so that whole systems can process text in milliseconds. The tokenizer spells out the
// byte alphabet of byte-level BPE: printable Latin-1 characters stand for themselves, and the other
// bytes are moved to U+0100 and above.
#include "support/tiny_model.h"

#include <fmt/format.h>

#include <string>

#include <molink/random_model.h>
#include "base/error.h"
#include "support/temp_dir.h"

namespace {

/// Returns the JSON escape of the character that stands for a byte in the byte-level alphabet.
std::string byte_token(int byte) {
    static const auto stands_for_itself = [](int b) {
        return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
    };
    if (stands_for_itself(byte)) return fmt::format("\\u{:04x}", byte);
    int moved = 0;
    for (int b = 0; b < byte; ++b) moved += stands_for_itself(b) ? 0 : 1;
    return fmt::format("\\u{:04x}", 0x100 + moved);
}

std::string special_token(int id) {
    if (id == kTinyBos) return "<|begin|>";
    if (id == kTinyEos) return "<|end|>";
    return fmt::format("<|reserved_{}|>", id);
}

std::string tokenizer_text(int vocabulary) {
    std::string added;
    for (int id = 256; id < vocabulary; ++id) {
        added += fmt::format(
            "{}    {{\"id\": {}, \"content\": \"{}\", \"single_word\": false, \"lstrip\": false, "
            "\"rstrip\": false, \"normalized\": false, \"special\": true}}",
            id == 256 ? "" : ",\n", id, special_token(id));
    }
    std::string bytes;
    for (int byte = 0; byte < 256; ++byte) {
        bytes += fmt::format("{}      \"{}\": {}", byte == 0 ? "" : ",\n", byte_token(byte), byte);
    }
    constexpr const char* kByteLevel =
        "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
        "\"use_regex\": true}";
    return fmt::format(
        "{{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
        "  \"added_tokens\": [\n{}\n  ],\n  \"normalizer\": null,\n  \"pre_tokenizer\": {},\n"
        "  \"post_processor\": null,\n  \"decoder\": {},\n  \"model\": {{\n    \"type\": \"BPE\",\n"
        "    \"dropout\": null,\n    \"unk_token\": null,\n    \"continuing_subword_prefix\": "
        "null,\n"
        "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n    \"byte_fallback\": "
        "false,\n"
        "    \"vocab\": {{\n{}\n    }},\n    \"merges\": []\n  }}\n}}\n",
        added, kByteLevel, kByteLevel, bytes);
}

}  // namespace

molink::RopeSpec tiny_llama3_scaling() {
    molink::RopeSpec rope;
    rope.scaling = molink::RopeScalingKind::llama3;
    rope.factor = 8.0;
    rope.low_freq_factor = 1.0;
    rope.high_freq_factor = 4.0;
    rope.original_context = 64;
    return rope;
}

molink::Status write_tiny_model(const std::filesystem::path& dir, const TinyModelOptions& options) {
    if (options.tokenizer && options.vocabulary < 258) {
        return molink::invalid_argument("tiny model: vocabulary {} is below the tokenizer's 258",
                                        options.vocabulary);
    }
    molink::RandomModelOptions random;
    random.shape.hidden = options.hidden;
    random.shape.layers = options.layers;
    random.shape.q_heads = options.q_heads;
    random.shape.kv_heads = options.kv_heads;
    random.shape.head_dim = options.head_dim;
    random.shape.ffn = options.ffn;
    random.shape.vocabulary = options.vocabulary;
    random.shape.context = options.context;
    random.shape.tied_embeddings = options.tied;
    random.type = options.type;
    random.seed = options.seed;
    random.rope_scaling = options.rope_scaling;
    random.eos_tokens = options.eos_tokens;
    random.max_shard_bytes = options.max_shard_bytes;
    MOLINK_RETURN_IF_ERROR(molink::write_random_model(dir, random));
    if (options.tokenizer) write_file(dir / "tokenizer.json", tokenizer_text(options.vocabulary));
    return {};
}
