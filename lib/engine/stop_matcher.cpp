// Stop strings over pieces of text. Held text is always a beginning of some stop string, so it is
// shorter than the longest, and a search of held + new text is all that is needed. Strings are
// short and few; nothing cleverer than find() pays.
#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"

namespace molink {

std::string StopMatcher::push(std::string_view text, bool& stopped) {
    stopped = false;
    held_ += text;
    std::size_t first = std::string::npos;
    for (const std::string& stop : *stops_) first = std::min(first, held_.find(stop));
    if (first != std::string::npos) {
        stopped = true;
        held_.resize(first);
        return std::exchange(held_, std::string());
    }
    std::size_t keep = 0;
    for (const std::string& stop : *stops_) {
        const std::size_t longest = std::min(stop.size() - 1, held_.size());
        for (std::size_t length = longest; length > keep; --length) {
            if (held_.compare(held_.size() - length, length, stop, 0, length) == 0) keep = length;
        }
    }
    if (canary(Canary::stop_string_split)) keep = 0;
    std::string sure = held_.substr(0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
    return sure;
}

std::string StopMatcher::flush() {
    return std::exchange(held_, std::string());
}

}  // namespace molink
