#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace molink {

/// Accepted connections by descriptor, and which of them are not trusted yet. These are bounded: in
/// number for each source and in all, and in time. When there are too many, the oldest of the
/// source that has most must go, so that a source that floods takes places from itself.
/// Thread: the node's loop.
class UntrustedPeers {
public:
    /// What names a connection as long as its descriptor is open, and tells it from a later one
    /// with the same descriptor.
    struct Socket {
        int descriptor = -1;
        std::uint64_t inode = 0;
        friend bool operator==(const Socket&, const Socket&) = default;
    };

    /// A connection was accepted. Returns one that must be closed, or nothing. Changes nothing when
    /// the connection is trusted: what is told of it may be late.
    std::optional<Socket> add(Socket socket, std::string source, std::int64_t now_us);
    /// The connection is trusted: nothing here concerns it any longer.
    void trust(Socket socket);
    /// The descriptor was closed.
    void remove(int descriptor);
    /// Removes and returns those that have been here for longer than `patience_us`.
    std::vector<Socket> expire(std::int64_t now_us, std::int64_t patience_us);

    /// Those that are here.
    std::vector<Socket> sockets() const;
    std::size_t size() const { return peers_.size(); }

private:
    struct Peer {
        Socket socket;
        std::string source;
        std::int64_t since_us = 0;
        std::uint64_t number = 0;  // orders those of one time
    };
    std::optional<Socket> remove_oldest(const std::string& source);

    std::map<int, std::uint64_t> trusted_;  // inodes by descriptor
    std::map<int, Peer> peers_;
    std::map<std::string, std::size_t> by_source_;
    std::uint64_t next_ = 0;
};

}  // namespace molink
