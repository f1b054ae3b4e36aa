#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace molink::test {

/// How a relayed port behaves. Up is the direction from the side that dials to the one that
/// listens.
struct RelayedLink {
    double up_bytes_per_s = 0;  ///< 0: unlimited
    double down_bytes_per_s = 0;
    std::int64_t delay_us = 0;   ///< one way
    std::int64_t jitter_us = 0;  ///< added to the delay, uniform from 0; keeps order
    /// Gets what passes through, both ways, on the relay's thread; may be empty.
    std::function<void(std::span<const char>)> tap;
};

/// A TCP relay on loopback with delay and bandwidth, for machines whose kernel cannot emulate them.
/// All connections of a port share the rate of each direction. The queue at the bottleneck holds
/// the bytes of one round trip, at least 64 KiB; when it is full, senders have to wait. The relay
/// has one thread of its own. Thread: any.
class Relay {
public:
    Relay();
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// Relays a new port on 127.0.0.1 to `target` there; returns the port. Throws
    /// std::runtime_error.
    int add(int target, const RelayedLink& link);
    /// Holds what passes through the port for `duration_us`. Nothing is lost.
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
