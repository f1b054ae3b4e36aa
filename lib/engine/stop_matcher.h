#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace molink {

/// Looks for stop strings in text that arrives in pieces. What may yet become a stop string is held
/// back. Pieces and stop strings are whole code points, so what comes out is too. Not thread-safe;
/// one per completion.
class StopMatcher {
public:
    /// `stops` must outlive it; none is empty.
    explicit StopMatcher(const std::vector<std::string>& stops) : stops_(&stops) {}

    /// The text that became sure. Sets `stopped` when a stop string is complete; the text before
    /// the first one is then all that is left.
    std::string push(std::string_view text, bool& stopped);
    /// The end of the output: what was held back.
    std::string flush();

private:
    const std::vector<std::string>* stops_;
    std::string held_;
};

}  // namespace molink
