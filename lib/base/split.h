#pragma once

#include <string_view>
#include <vector>

namespace molink {

/// Returns the pieces of `text` between separators, which may be empty: at least one. They point
/// into `text`.
inline std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> pieces;
    for (;;) {
        const std::size_t end = text.find(separator);
        pieces.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return pieces;
        text.remove_prefix(end + 1);
    }
}

}  // namespace molink
