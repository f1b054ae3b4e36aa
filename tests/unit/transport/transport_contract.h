#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <molink/transport.h>

#include "support/catch.h"

namespace molink::test {

/// An implementation to test, and addresses for it.
struct TransportUnderTest {
    std::function<std::unique_ptr<Transport>()> make;
    std::string address;       ///< to listen at; may contain a wildcard
    std::string late_address;  ///< a fixed address at which nobody listens yet
    std::size_t largest_frame = 17'000;
};

/// Records events. Echoes frames if `echo` is set.
struct Peer final : TransportSink {
    explicit Peer(std::unique_ptr<Transport> t) : transport(std::move(t)) {}
    bool permits(const PublicKey& key) override {
        asked.push_back(key);
        return permitted.contains(key);
    }
    void on_connected(ConnectionId connection, const PeerIdentity& peer) override {
        up.push_back(connection);
        identities[connection] = peer;
    }
    void on_disconnected(ConnectionId connection) override { down.push_back(connection); }
    void on_frame(ConnectionId connection, std::span<const std::byte> bytes) override {
        frames[connection].emplace_back(bytes.begin(), bytes.end());
        if (echo) transport->send(connection, Frame(bytes.begin(), bytes.end()));
    }
    void on_resolved(ConnectionId connection, const Status& outcome) override {
        resolved[connection] = outcome;
    }
    std::unique_ptr<Transport> transport;
    std::vector<ConnectionId> up;
    std::vector<ConnectionId> down;
    std::map<ConnectionId, std::vector<Frame>> frames;
    bool echo = false;
    std::set<PublicKey> permitted;
    std::vector<PublicKey> asked;
    std::map<ConnectionId, PeerIdentity> identities;
    std::map<ConnectionId, Status> resolved;
};

/// Polls all peers until done() holds. Returns false if it does not within 10,000 rounds.
template <typename Done>
bool poll_until(const std::vector<Peer*>& peers, Done done) {
    for (int i = 0; i < 10'000; ++i) {
        if (done()) return true;
        for (Peer* peer : peers) {
            if (peer->transport) peer->transport->poll(500, *peer);
        }
    }
    return false;
}

/// Checks the contract. Every Transport must pass.
void check_transport_contract(const TransportUnderTest& subject);

}  // namespace molink::test
