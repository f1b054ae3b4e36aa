#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/unicode.h"

namespace molink {

/// One rewriting of the text before it is cut.
struct NormalizerStep {
    enum class Kind : std::uint8_t {
        unicode,  ///< `form`
        prepend,  ///< put `content` before a text that is not empty
        replace,  ///< every `pattern`, taken literally and never empty, becomes `content`
    };
    Kind kind = Kind::unicode;
    NormalizationForm form = NormalizationForm::nfc;
    std::string pattern;
    std::string content;
};

/// A sequence of rewritings; without any, text stays as it is. Immutable after the last add(), then
/// thread-safe.
class Normalizer {
public:
    void add(NormalizerStep step) { steps_.push_back(std::move(step)); }
    bool empty() const { return steps_.empty(); }
    /// The rewritten `text` (well-formed UTF-8).
    std::string apply(std::string_view text) const;

private:
    std::vector<NormalizerStep> steps_;
};

}  // namespace molink
