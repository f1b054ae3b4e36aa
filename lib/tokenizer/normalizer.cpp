// The normalisation of a text before it is split into words.
// It has only the steps that byte-level models use; the loader refuses others by name.
// Relies on unicode.h for the normalisation forms.
#include "tokenizer/normalizer.h"

namespace molink {
namespace {

std::string replace_all(std::string_view text, std::string_view pattern, std::string_view content) {
    std::string out;
    out.reserve(text.size());
    std::size_t done = 0;
    for (std::size_t at = text.find(pattern); at != std::string_view::npos;
         at = text.find(pattern, done)) {
        out += text.substr(done, at - done);
        out += content;
        done = at + pattern.size();
    }
    out += text.substr(done);
    return out;
}

}  // namespace

std::string Normalizer::apply(std::string_view text) const {
    std::string out(text);
    for (const NormalizerStep& step : steps_) {
        switch (step.kind) {
            case NormalizerStep::Kind::unicode: out = normalize_utf8(out, step.form); break;
            case NormalizerStep::Kind::prepend:
                if (!out.empty()) out.insert(0, step.content);
                break;
            case NormalizerStep::Kind::replace:
                if (!step.pattern.empty()) out = replace_all(out, step.pattern, step.content);
                break;
        }
    }
    return out;
}

}  // namespace molink
