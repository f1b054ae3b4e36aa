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

    /// Returns the text that can no longer become a stop string. Sets `stopped` when a stop string
    /// is complete, and returns the text before the first one.
    std::string push(std::string_view text, bool& stopped);
    /// Returns what was held back, at the end of the output.
    std::string flush();

private:
    const std::vector<std::string>* stops_;
    std::string held_;
};

}  // namespace molink
