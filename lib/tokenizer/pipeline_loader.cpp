// Loads the components around the model. Each key has null, one component, or a Sequence of
// components, which may be nested. One function flattens this, and each key has one function that
// knows its kinds. Recursion is bounded, because the JSON reader bounds the depth of the document.
#include "tokenizer/pipeline_loader.h"

#include <functional>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/limits.h"

namespace molink {
namespace {

// Handles one component that is not a Sequence, given its kind and its node.
using Visitor = std::function<Status(const std::string& kind, const JsonNode& node)>;

Status unsupported(const JsonNode& node, std::string_view what) {
    return make_error(StatusCode::unimplemented, "key {}: {} is not supported", node.path(), what);
}

Status walk(const JsonNode& node, std::string_view list_key, const Visitor& visit) {
    MOLINK_ASSIGN_OR_RETURN(const std::string kind, node.text_member("type"));
    if (kind != "Sequence") return visit(kind, node);
    MOLINK_ASSIGN_OR_RETURN(const JsonNode list, node.member(list_key));
    MOLINK_RETURN_IF_ERROR(list.expect_array());
    for (std::size_t i = 0; i < list.value().size(); ++i) {
        MOLINK_RETURN_IF_ERROR(walk(list.element(i), list_key, visit));
    }
    return Status();
}

// The characters that Digits splits: all numbers, including those of Unicode 17, which patterns do
// not have.
constexpr std::string_view kDigitsPattern = "[\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}]";

struct SplitPattern {
    bool is_literal = false;
    std::string text;
};

Result<SplitPattern> split_pattern(const JsonNode& node) {
    MOLINK_ASSIGN_OR_RETURN(const JsonNode pattern, node.member("pattern"));
    if (const auto literal = pattern.find("String")) {
        MOLINK_ASSIGN_OR_RETURN(std::string text, literal->text());
        return SplitPattern{true, std::move(text)};
    }
    MOLINK_ASSIGN_OR_RETURN(std::string text, pattern.text_member("Regex"));
    return SplitPattern{false, std::move(text)};
}

std::optional<NormalizationForm> unicode_form(std::string_view kind) {
    if (kind == "NFC") return NormalizationForm::nfc;
    if (kind == "NFD") return NormalizationForm::nfd;
    if (kind == "NFKC") return NormalizationForm::nfkc;
    if (kind == "NFKD") return NormalizationForm::nfkd;
    return std::nullopt;
}

Status add_normalizer(const std::string& kind, const JsonNode& node, Normalizer& normalizer) {
    NormalizerStep step;
    if (const auto form = unicode_form(kind)) {
        step.form = *form;
    } else if (kind == "Prepend") {
        step.kind = NormalizerStep::Kind::prepend;
        MOLINK_ASSIGN_OR_RETURN(step.content, node.text_member("prepend"));
    } else if (kind == "Replace") {
        step.kind = NormalizerStep::Kind::replace;
        MOLINK_ASSIGN_OR_RETURN(const SplitPattern pattern, split_pattern(node));
        if (!pattern.is_literal)
            return unsupported(node, "normalizer Replace with a regular expression");
        if (pattern.text.empty())
            return unsupported(node, "normalizer Replace with an empty pattern");
        step.pattern = pattern.text;
        MOLINK_ASSIGN_OR_RETURN(step.content, node.text_member("content"));
    } else {
        return unsupported(node, fmt::format("normalizer \"{}\"", kind));
    }
    normalizer.add(std::move(step));
    return Status();
}

Result<SplitBehavior> split_behavior(const JsonNode& node) {
    MOLINK_ASSIGN_OR_RETURN(const std::string name, node.text_member("behavior"));
    if (name == "Isolated") return SplitBehavior::isolated;
    if (name == "Removed") return SplitBehavior::removed;
    if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
    if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
    if (name == "Contiguous") return SplitBehavior::contiguous;
    return invalid_argument(
        "key {}.behavior: \"{}\" is not one of Isolated, Removed, "
        "MergedWithPrevious, MergedWithNext and Contiguous",
        node.path(), name);
}

Status set_pattern(const JsonNode& node, Result<Regex> pattern, SplitStep& step) {
    if (!pattern) return pattern.error().with_context(fmt::format("key {}", node.path()));
    step.pattern = std::move(pattern).value();
    return Status();
}

Result<SplitStep> pretokenizer_step(const std::string& kind, const JsonNode& node) {
    SplitStep step;
    if (kind == "ByteLevel") {
        MOLINK_ASSIGN_OR_RETURN(step.add_prefix_space, node.boolean_member("add_prefix_space"));
        MOLINK_ASSIGN_OR_RETURN(const bool use_regex, node.boolean_member_or("use_regex", true));
        if (use_regex) {
            MOLINK_RETURN_IF_ERROR(set_pattern(node, Regex::compile(gpt2_pattern()), step));
        }
    } else if (kind == "Digits") {
        MOLINK_ASSIGN_OR_RETURN(const bool individual, node.boolean_member("individual_digits"));
        step.behavior = individual ? SplitBehavior::isolated : SplitBehavior::contiguous;
        MOLINK_RETURN_IF_ERROR(set_pattern(node, Regex::compile(kDigitsPattern), step));
    } else if (kind == "Split") {
        MOLINK_ASSIGN_OR_RETURN(const SplitPattern pattern, split_pattern(node));
        MOLINK_ASSIGN_OR_RETURN(step.behavior, split_behavior(node));
        MOLINK_ASSIGN_OR_RETURN(step.invert, node.boolean_member_or("invert", false));
        MOLINK_RETURN_IF_ERROR(set_pattern(node,
                                           pattern.is_literal ? Regex::compile_literal(pattern.text)
                                                              : Regex::compile(pattern.text),
                                           step));
    } else {
        return unsupported(node, fmt::format("pre-tokenizer \"{}\"", kind));
    }
    return step;
}

// Adds the ids of the template's special token `id`.
Status add_special_token(const JsonNode& processor, const JsonNode& piece,
                         const std::vector<std::string>& token_bytes,
                         std::vector<TemplatePiece>& pieces) {
    MOLINK_ASSIGN_OR_RETURN(const std::string id, piece.text_member("id"));
    MOLINK_ASSIGN_OR_RETURN(const JsonNode known, processor.member("special_tokens"));
    MOLINK_ASSIGN_OR_RETURN(const JsonNode entry, known.member(id));
    MOLINK_ASSIGN_OR_RETURN(const JsonNode ids, entry.member("ids"));
    MOLINK_RETURN_IF_ERROR(ids.expect_array());
    for (std::size_t i = 0; i < ids.value().size(); ++i) {
        const JsonNode node = ids.element(i);
        MOLINK_ASSIGN_OR_RETURN(const std::int64_t token, node.index_below(limits::kMaxVocabulary));
        const auto index = static_cast<std::size_t>(token);
        if (index >= token_bytes.size() || token_bytes[index].empty()) {
            return invalid_argument("key {}: token {} is not in the vocabulary of {} ids",
                                    node.path(), token, token_bytes.size());
        }
        pieces.push_back({false, static_cast<Token>(token)});
    }
    return Status();
}

Status add_template(const JsonNode& node, const std::vector<std::string>& token_bytes,
                    PostProcessor& processor) {
    MOLINK_ASSIGN_OR_RETURN(const JsonNode single, node.member("single"));
    MOLINK_RETURN_IF_ERROR(single.expect_array());
    std::vector<TemplatePiece> pieces;
    for (std::size_t i = 0; i < single.value().size(); ++i) {
        const JsonNode piece = single.element(i);
        if (const auto special = piece.find("SpecialToken")) {
            MOLINK_RETURN_IF_ERROR(add_special_token(node, *special, token_bytes, pieces));
            continue;
        }
        MOLINK_ASSIGN_OR_RETURN(const JsonNode sequence, piece.member("Sequence"));
        MOLINK_ASSIGN_OR_RETURN(const std::string id, sequence.text_member("id"));
        if (id != "A") {
            return invalid_argument(
                "key {}.id: a template for one text may use only \"A\"; found \"{}\"",
                sequence.path(), id);
        }
        pieces.push_back({true, 0});
    }
    processor.add(std::move(pieces));
    return Status();
}

}  // namespace

Status load_normalizer(const JsonNode& root, Normalizer& normalizer) {
    const auto node = root.find("normalizer");
    if (!node) return Status();
    return walk(*node, "normalizers", [&](const std::string& kind, const JsonNode& component) {
        return add_normalizer(kind, component, normalizer);
    });
}

Status load_pretokenizer(const JsonNode& root, Pretokenizer& pretokenizer) {
    const auto node = root.find("pre_tokenizer");
    bool ends_in_bytes = false;
    const auto visit = [&](const std::string& kind, const JsonNode& component) -> Status {
        if (ends_in_bytes) {
            return unsupported(component,
                               fmt::format("pre-tokenizer \"{}\" after ByteLevel", kind));
        }
        ends_in_bytes = kind == "ByteLevel";
        MOLINK_ASSIGN_OR_RETURN(SplitStep step, pretokenizer_step(kind, component));
        pretokenizer.add(std::move(step));
        return Status();
    };
    if (node) MOLINK_RETURN_IF_ERROR(walk(*node, "pretokenizers", visit));
    if (ends_in_bytes) return Status();
    return make_error(
        StatusCode::unimplemented,
        "key pre_tokenizer: it must contain ByteLevel; only byte-level vocabularies are "
        "supported");
}

Status check_decoder(const JsonNode& root) {
    const auto node = root.find("decoder");
    bool from_bytes = false;
    const auto visit = [&](const std::string& kind, const JsonNode& component) {
        // Fuse has no effect after ByteLevel, which joins all pieces.
        const bool supported = from_bytes ? kind == "Fuse" : kind == "ByteLevel";
        if (!supported) return unsupported(component, fmt::format("decoder \"{}\"", kind));
        from_bytes = true;
        return Status();
    };
    if (node) MOLINK_RETURN_IF_ERROR(walk(*node, "decoders", visit));
    if (from_bytes) return Status();
    return make_error(StatusCode::unimplemented,
                      "key decoder: it must contain ByteLevel; only byte-level vocabularies are "
                      "supported");
}

Status load_post_processor(const JsonNode& root, const std::vector<std::string>& token_bytes,
                           PostProcessor& processor) {
    const auto node = root.find("post_processor");
    if (!node) return Status();
    return walk(*node, "processors", [&](const std::string& kind, const JsonNode& component) {
        if (kind == "ByteLevel") return Status();  // changes only offsets, which are not kept
        if (kind == "TemplateProcessing") return add_template(component, token_bytes, processor);
        return unsupported(component, fmt::format("post-processor \"{}\"", kind));
    });
}

}  // namespace molink
