// Who has connected and not proved to be anybody. The lists are short (limits::kMaxUntrusted), so
// they are searched. Nothing here touches a socket: the caller closes what is returned, and tells
// when a descriptor is closed.
#include "transport/untrusted_peers.h"

#include <algorithm>

#include "base/limits.h"

namespace molink {

std::optional<UntrustedPeers::Socket> UntrustedPeers::add(Socket socket, std::string source,
                                                          std::int64_t now_us) {
    const auto trusted = trusted_.find(socket.descriptor);
    if (trusted != trusted_.end() && trusted->second == socket.inode) return std::nullopt;
    remove(socket.descriptor);  // its end was not told yet
    std::size_t& here = by_source_[source];
    ++here;
    const bool many = here > limits::kMaxUntrustedPerSource;
    peers_[socket.descriptor] = {socket, source, now_us, next_++};
    if (many) return remove_oldest(source);
    if (peers_.size() <= limits::kMaxUntrusted) return std::nullopt;
    // Honest peers have two connections. A source with one counts as much, so that many sources
    // with one each do not outlast them.
    const auto weight = [&](const std::string& name) {
        return std::max<std::size_t>(by_source_.at(name), 2);
    };
    const Peer* first = nullptr;
    for (const auto& [descriptor, peer] : peers_) {
        const bool more =
            first == nullptr || weight(peer.source) > weight(first->source) ||
            (weight(peer.source) == weight(first->source) && peer.number < first->number);
        if (more) first = &peer;
    }
    const Socket excess = first->socket;
    remove(excess.descriptor);
    return excess;
}

std::vector<UntrustedPeers::Socket> UntrustedPeers::sockets() const {
    std::vector<Socket> sockets;
    for (const auto& [descriptor, peer] : peers_) sockets.push_back(peer.socket);
    return sockets;
}

std::optional<UntrustedPeers::Socket> UntrustedPeers::remove_oldest(const std::string& source) {
    const Peer* oldest = nullptr;
    for (const auto& [descriptor, peer] : peers_) {
        if (peer.source != source) continue;
        if (oldest == nullptr || peer.number < oldest->number) oldest = &peer;
    }
    if (oldest == nullptr) return std::nullopt;
    const Socket socket = oldest->socket;
    remove(socket.descriptor);
    return socket;
}

void UntrustedPeers::trust(Socket socket) {
    remove(socket.descriptor);
    trusted_[socket.descriptor] = socket.inode;
}

void UntrustedPeers::remove(int descriptor) {
    trusted_.erase(descriptor);
    const auto found = peers_.find(descriptor);
    if (found == peers_.end()) return;
    const auto source = by_source_.find(found->second.source);
    if (--source->second == 0) by_source_.erase(source);
    peers_.erase(found);
}

std::vector<UntrustedPeers::Socket> UntrustedPeers::expire(std::int64_t now_us,
                                                           std::int64_t patience_us) {
    std::vector<Socket> late;
    for (const auto& [descriptor, peer] : peers_) {
        if (now_us - peer.since_us > patience_us) late.push_back(peer.socket);
    }
    for (const Socket& socket : late) remove(socket.descriptor);
    return late;
}

}  // namespace molink
