// The vocabulary and the merges of a tokenizer file. Merges have two spellings ("a b" and
// ["a","b"]) and name tokens by content. Here they are converted to ids, so that a merge that the
// vocabulary does not support is found while loading and not during a request.
#include "tokenizer/model_loader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "tokenizer/byte_level.h"

namespace molink {
namespace {

Status refuse_options(const JsonNode& model) {
    if (const auto type = model.find("type")) {
        MOLINK_ASSIGN_OR_RETURN(const std::string name, type->text());
        if (name != "BPE") {
            return make_error(StatusCode::unimplemented,
                              "key {}: model type \"{}\" is not supported; only BPE is",
                              type->path(), name);
        }
    }
    MOLINK_ASSIGN_OR_RETURN(const bool byte_fallback,
                            model.boolean_member_or("byte_fallback", false));
    if (byte_fallback) {
        return make_error(
            StatusCode::unimplemented,
            "key {}.byte_fallback: models that fall back to bytes (SentencePiece) are "
            "not supported; only byte-level BPE is",
            model.path());
    }
    if (const auto dropout = model.find("dropout")) {
        if (!dropout->value().is_number() || dropout->value().get<double>() != 0.0) {
            return make_error(StatusCode::unimplemented,
                              "key {}: dropout is not supported; it must be null or 0",
                              dropout->path());
        }
    }
    for (std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        const auto affix = model.find(key);
        if (!affix) continue;
        MOLINK_ASSIGN_OR_RETURN(const std::string text, affix->text());
        if (!text.empty()) {
            return make_error(
                StatusCode::unimplemented,
                "key {}: \"{}\" is not supported; it must be empty for byte-level BPE",
                affix->path(), text);
        }
    }
    return Status();
}

Status load_vocabulary(const JsonNode& vocabulary, LoadedModel& loaded) {
    MOLINK_RETURN_IF_ERROR(vocabulary.expect_object());
    const auto& entries = vocabulary.value().get_ref<const nlohmann::json::object_t&>();
    if (entries.empty()) return invalid_argument("key {} is empty", vocabulary.path());
    loaded.token_of.reserve(entries.size());
    std::vector<std::string_view> content_of;
    for (const auto& [content, value] : entries) {
        const auto id = JsonNode(value, fmt::format("{}[\"{}\"]", vocabulary.path(), content))
                            .index_below(limits::kMaxVocabulary);
        if (!id) return id.error();
        const auto index = static_cast<std::size_t>(*id);
        if (index >= content_of.size()) content_of.resize(index + 1);
        // An empty spelling also uses an id. Its view has a data pointer, unlike that of an unused
        // id.
        if (content_of[index].data() != nullptr) {
            return invalid_argument("key {}: id {} is given to both \"{}\" and \"{}\"",
                                    vocabulary.path(), index, content_of[index], content);
        }
        content_of[index] = content;
        loaded.token_of.emplace(content, static_cast<Token>(*id));
    }
    loaded.token_bytes.resize(content_of.size());
    for (std::size_t i = 0; i < content_of.size(); ++i) {
        if (!append_byte_level_bytes(content_of[i], loaded.token_bytes[i])) {
            loaded.token_bytes[i] = content_of[i];
        }
    }
    return Status();
}

// Returns the two sides of one merge in either spelling.
Result<std::pair<std::string, std::string>> merge_sides(const JsonNode& merge) {
    if (merge.value().is_array()) {
        if (merge.value().size() != 2) {
            return invalid_argument("key {}: a merge must have 2 sides; this one has {}",
                                    merge.path(), merge.value().size());
        }
        MOLINK_ASSIGN_OR_RETURN(std::string left, merge.element(0).text());
        MOLINK_ASSIGN_OR_RETURN(std::string right, merge.element(1).text());
        return std::pair(std::move(left), std::move(right));
    }
    MOLINK_ASSIGN_OR_RETURN(const std::string text, merge.text());
    const std::size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        return invalid_argument("key {}: \"{}\" is not two tokens separated by one space",
                                merge.path(), text);
    }
    return std::pair(text.substr(0, space), text.substr(space + 1));
}

Result<Token> token_in_merge(const JsonNode& merge, const LoadedModel& loaded,
                             std::string_view content) {
    const auto it = loaded.token_of.find(content);
    if (it != loaded.token_of.end()) return it->second;
    return invalid_argument("key {}: token \"{}\" is not in the vocabulary of {} tokens",
                            merge.path(), content, loaded.token_of.size());
}

Status load_merges(const JsonNode& merges, LoadedModel& loaded) {
    MOLINK_RETURN_IF_ERROR(merges.expect_array());
    const std::size_t count = merges.value().size();
    loaded.bpe.merges.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        const JsonNode node = merges.element(i);
        if (node.value().is_string() &&
            node.value().get_ref<const std::string&>().rfind("#version", 0) == 0) {
            continue;
        }
        MOLINK_ASSIGN_OR_RETURN(const auto sides, merge_sides(node));
        BpeMerge merge;
        MOLINK_ASSIGN_OR_RETURN(merge.left, token_in_merge(node, loaded, sides.first));
        MOLINK_ASSIGN_OR_RETURN(merge.right, token_in_merge(node, loaded, sides.second));
        MOLINK_ASSIGN_OR_RETURN(merge.merged,
                                token_in_merge(node, loaded, sides.first + sides.second));
        loaded.bpe.merges.push_back(merge);
    }
    return Status();
}

// Reads the token of each byte, and the token for bytes without one.
Status load_bytes(const JsonNode& model, LoadedModel& loaded) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
        const auto it = loaded.token_of.find(byte_level_spelling(static_cast<std::uint8_t>(byte)));
        loaded.bpe.byte_tokens[byte] = it == loaded.token_of.end() ? -1 : it->second;
    }
    MOLINK_ASSIGN_OR_RETURN(loaded.bpe.fuse_unknown, model.boolean_member_or("fuse_unk", false));
    const auto unknown = model.find("unk_token");
    if (!unknown) return Status();
    MOLINK_ASSIGN_OR_RETURN(const std::string content, unknown->text());
    const auto it = loaded.token_of.find(content);
    if (it != loaded.token_of.end()) {
        loaded.bpe.unknown = it->second;
        return Status();
    }
    const auto& bytes = loaded.bpe.byte_tokens;
    const auto missing = std::count(bytes.begin(), bytes.end(), -1);
    if (missing == 0 || content.empty()) return Status();
    return invalid_argument(
        "key {}: \"{}\" is not in the vocabulary, and {} of 256 bytes have no token",
        unknown->path(), content, missing);
}

}  // namespace

Result<LoadedModel> load_bpe_model(const JsonNode& model) {
    MOLINK_RETURN_IF_ERROR(model.expect_object());
    MOLINK_RETURN_IF_ERROR(refuse_options(model));
    LoadedModel loaded;
    MOLINK_ASSIGN_OR_RETURN(const JsonNode vocabulary, model.member("vocab"));
    MOLINK_RETURN_IF_ERROR(load_vocabulary(vocabulary, loaded));
    MOLINK_ASSIGN_OR_RETURN(const JsonNode merges, model.member("merges"));
    MOLINK_RETURN_IF_ERROR(load_merges(merges, loaded));
    MOLINK_RETURN_IF_ERROR(load_bytes(model, loaded));
    MOLINK_ASSIGN_OR_RETURN(const bool whole_words,
                            model.boolean_member_or("ignore_merges", false));
    if (!whole_words) return loaded;
    for (const auto& [content, token] : loaded.token_of) {
        std::string bytes;
        if (append_byte_level_bytes(content, bytes)) {
            loaded.bpe.whole_words.emplace(std::move(bytes), token);
        }
    }
    return loaded;
}

}  // namespace molink
