#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/unicode.h"

namespace molink {

/// One step of normalisation before the text is split.
struct NormalizerStep {
    enum class Kind : std::uint8_t {
        unicode,  ///< `form`
        prepend,  ///< puts `content` before a text that is not empty
        replace,  ///< replaces every literal `pattern`, which is not empty, by `content`
    };
    Kind kind = Kind::unicode;
    NormalizationForm form = NormalizationForm::nfc;
    std::string pattern;
    std::string content;
};

/// A sequence of normalisation steps. Without steps the text stays unchanged. Immutable after the
/// last add(), and then thread-safe.
class Normalizer {
public:
    void add(NormalizerStep step) { steps_.push_back(std::move(step)); }
    bool empty() const { return steps_.empty(); }
    /// Returns the normalised `text`, which must be well-formed UTF-8.
    std::string apply(std::string_view text) const;

private:
    std::vector<NormalizerStep> steps_;
};

}  // namespace molink
