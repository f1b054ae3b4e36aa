#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/limits.h"
#include "channel/channel_hub.h"

namespace molink {

/// Peer links that are connected and have not introduced themselves yet. Thread: the node's loop.
class Strangers {
public:
    void add(PeerLinkId link, std::int64_t now_us) { since_us_[link] = now_us; }
    bool contains(PeerLinkId link) const { return since_us_.contains(link); }
    /// The link introduced itself, or is gone.
    void forget(PeerLinkId link) { since_us_.erase(link); }
    /// Returns those that have said nothing for limits::kHelloWithinUs.
    std::vector<PeerLinkId> late(std::int64_t now_us) const {
        std::vector<PeerLinkId> late;
        for (const auto& [link, since_us] : since_us_) {
            if (now_us - since_us > limits::kHelloWithinUs) late.push_back(link);
        }
        return late;
    }

private:
    std::map<PeerLinkId, std::int64_t> since_us_;
};

}  // namespace molink
