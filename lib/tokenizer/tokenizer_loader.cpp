// Builds the parts of a tokenizer from the JSON of its file. Unknown content is refused by name
// instead of ignored, because a tokenizer that is nearly right gives wrong tokens that nobody
// notices. Relies on the JSON reader for depth and syntax.
#include "tokenizer/tokenizer_loader.h"

#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "base/limits.h"
#include "tokenizer/json_node.h"
#include "tokenizer/model_loader.h"
#include "tokenizer/pipeline_loader.h"

namespace molink {
namespace {

Result<AddedToken> added_token(const JsonNode& node) {
    MOLINK_RETURN_IF_ERROR(node.expect_object());
    AddedToken token;
    MOLINK_ASSIGN_OR_RETURN(const JsonNode id_node, node.member("id"));
    MOLINK_ASSIGN_OR_RETURN(const std::int64_t id, id_node.index_below(limits::kMaxVocabulary));
    token.id = static_cast<Token>(id);
    MOLINK_ASSIGN_OR_RETURN(token.content, node.text_member("content"));
    if (token.content.empty()) {
        return invalid_argument("key {}.content of token {} is empty", node.path(), id);
    }
    MOLINK_ASSIGN_OR_RETURN(token.special, node.boolean_member_or("special", false));
    MOLINK_ASSIGN_OR_RETURN(token.single_word, node.boolean_member_or("single_word", false));
    MOLINK_ASSIGN_OR_RETURN(token.lstrip, node.boolean_member_or("lstrip", false));
    MOLINK_ASSIGN_OR_RETURN(token.rstrip, node.boolean_member_or("rstrip", false));
    MOLINK_ASSIGN_OR_RETURN(token.normalized, node.boolean_member_or("normalized", !token.special));
    return token;
}

// Adds `token` to the vocabulary. Its content may already be there with the same id.
Status enter_added_token(const JsonNode& node, const AddedToken& token, LoadedModel& model,
                         std::unordered_map<std::string, Token>& added) {
    const auto in_model = model.token_of.find(token.content);
    const auto in_added = added.find(token.content);
    const bool known = in_model != model.token_of.end() || in_added != added.end();
    if (known) {
        const Token id = in_added != added.end() ? in_added->second : in_model->second;
        if (id == token.id) return Status();
        return invalid_argument("key {}: \"{}\" has id {} here and {} elsewhere", node.path(),
                                token.content, token.id, id);
    }
    const auto index = static_cast<std::size_t>(token.id);
    if (index >= model.token_bytes.size()) model.token_bytes.resize(index + 1);
    std::string& bytes = model.token_bytes[index];
    if (!bytes.empty()) {
        return invalid_argument("key {}: id {} of \"{}\" already belongs to another token",
                                node.path(), token.id, token.content);
    }
    bytes = token.content;
    added.emplace(token.content, token.id);
    return Status();
}

bool equal_flags(const AddedToken& a, const AddedToken& b) {
    return a.special == b.special && a.single_word == b.single_word && a.lstrip == b.lstrip &&
           a.rstrip == b.rstrip && a.normalized == b.normalized;
}

/// Refuses a list that has one content twice with different flags.
Status check_flags(const JsonNode& node, const AddedToken& token,
                   std::unordered_map<std::string, AddedToken>& seen) {
    const auto [known, first] = seen.emplace(token.content, token);
    if (first || equal_flags(known->second, token)) return Status();
    return invalid_argument("key {}: \"{}\" is listed twice with different flags", node.path(),
                            token.content);
}

Status load_added_tokens(const JsonNode& root, LoadedModel& model, TokenizerParts& parts) {
    const auto list = root.find("added_tokens");
    if (!list) return Status();
    MOLINK_RETURN_IF_ERROR(list->expect_array());
    std::unordered_map<std::string, Token> added;
    std::unordered_map<std::string, AddedToken> seen;
    for (std::size_t i = 0; i < list->value().size(); ++i) {
        const JsonNode node = list->element(i);
        MOLINK_ASSIGN_OR_RETURN(const AddedToken token, added_token(node));
        MOLINK_RETURN_IF_ERROR(enter_added_token(node, token, model, added));
        MOLINK_RETURN_IF_ERROR(check_flags(node, token, seen));
        const auto index = static_cast<std::size_t>(token.id);
        if (index >= parts.special.size()) parts.special.resize(index + 1);
        parts.special[index] = parts.special[index] || token.special;
        if (token.normalized) {
            parts.normalized_tokens.add(token, parts.normalizer.apply(token.content));
        } else {
            parts.original_tokens.add(token, token.content);
        }
    }
    return Status();
}

Status check_version(const JsonNode& root) {
    const auto node = root.find("version");
    if (!node) return Status();
    MOLINK_ASSIGN_OR_RETURN(const std::string version, node->text());
    if (version == "1.0") return Status();
    return make_error(StatusCode::unimplemented,
                      "key version: \"{}\" is not supported; only 1.0 is", version);
}

}  // namespace

Result<std::string> read_tokenizer_file(const std::string& path) {
    auto text = read_file_text(path, limits::kMaxJsonFileBytes);
    return text ? std::move(text) : text.error().with_context("load tokenizer");
}

Result<std::unique_ptr<TokenizerParts>> load_tokenizer_parts(std::string_view json) {
    if (json.size() > limits::kMaxJsonFileBytes) {
        return invalid_argument("it has {} bytes; at most {} are permitted", json.size(),
                                limits::kMaxJsonFileBytes);
    }
    MOLINK_ASSIGN_OR_RETURN(const nlohmann::json document, parse_json(json));
    const JsonNode root(document, "");
    MOLINK_RETURN_IF_ERROR(root.expect_object());
    MOLINK_RETURN_IF_ERROR(check_version(root));
    auto parts = std::make_unique<TokenizerParts>();
    MOLINK_RETURN_IF_ERROR(load_normalizer(root, parts->normalizer));
    MOLINK_RETURN_IF_ERROR(load_pretokenizer(root, parts->pretokenizer));
    MOLINK_RETURN_IF_ERROR(check_decoder(root));
    MOLINK_ASSIGN_OR_RETURN(const JsonNode model_node, root.member("model"));
    MOLINK_ASSIGN_OR_RETURN(LoadedModel model, load_bpe_model(model_node));
    MOLINK_RETURN_IF_ERROR(load_added_tokens(root, model, *parts));
    parts->token_bytes = std::move(model.token_bytes);
    parts->special.resize(parts->token_bytes.size());
    parts->bpe = Bpe(std::move(model.bpe));
    MOLINK_RETURN_IF_ERROR(load_post_processor(root, parts->token_bytes, parts->post_processor));
    return parts;
}

}  // namespace molink
