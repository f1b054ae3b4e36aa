#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include <molink/security.h>

namespace molink::test {

/// Peers without a key that a cluster knows, on loopback. Each call runs until its number of
/// attempts is made or `over` is set, on the caller's thread.
struct Strangers {
    std::vector<int> ports;  ///< of nodes, on 127.0.0.1
    /// Attempts a second, at most; 0: as fast as it goes.
    double per_s = 0;

    /// Connects from many source addresses. Half of the connections say nothing, the others begin
    /// as ZeroMQ does and go on with random bytes. The latest `held` stay open. Returns the number
    /// of connections.
    int connect(int count, std::size_t held, std::uint64_t seed,
                const std::atomic<bool>& over) const;
    /// Knocks with so many key pairs that nobody knows, at nodes with the key `server`. Returns how
    /// often somebody answered.
    int knock(int count, const PublicKey& server, const std::atomic<bool>& over) const;
};

}  // namespace molink::test
