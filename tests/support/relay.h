#pragma once

#include <array>
#include <cstdint>
#include <memory>

namespace molink::test {

/// How a relayed port behaves. Up: from who dials to who listens.
struct RelayedLink {
    double up_bytes_per_s = 0;  ///< 0: unlimited
    double down_bytes_per_s = 0;
    std::int64_t delay_us = 0;   ///< one way
    std::int64_t jitter_us = 0;  ///< more of it, uniform; order in a connection is kept
};

/// A TCP relay on loopback with delay and bandwidth, for machines whose kernel cannot emulate them.
/// One thread. A port is one link: all its connections share the rate of each direction; what waits
/// at the bottleneck is bounded (a round trip's worth, at least 64 KiB), then senders are held up.
class Relay {
public:
    Relay();
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// Relays a new port on 127.0.0.1 to `target` there; returns the port. Throws
    /// std::runtime_error.
    int add(int target, const RelayedLink& link);
    /// Nothing arrives through the port for so long; nothing is lost.
    void freeze(int port, std::int64_t duration_us);
    /// Resets every connection through the port.
    void cut(int port);
    /// Bytes relayed so far through the port, up and down.
    std::array<std::uint64_t, 2> bytes(int port) const;

private:
    class Loop;
    std::unique_ptr<Loop> loop_;
};

}  // namespace molink::test
