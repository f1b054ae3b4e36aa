#pragma once

#include <string>

namespace molink::test {

/// A TCP connection to a port on loopback that sends any bytes and knows nothing of HTTP. Waits at
/// most 60 s for each piece.
class RawClient {
public:
    /// `receive_buffer`: bytes that the system may hold for a client that does not read; 0: its
    /// default.
    explicit RawClient(int port, int receive_buffer = 0);
    ~RawClient();
    RawClient(RawClient&& other) noexcept;
    RawClient& operator=(RawClient&&) = delete;

    bool connected() const { return up_; }
    /// Sends all bytes. Returns false when the peer is gone.
    bool send(const std::string& bytes);
    /// Reads until `text` was seen behind what the last call returned, or the connection ends.
    /// Returns everything that was read up to the end of `text`; without it, all there was.
    std::string read_until(const std::string& text);
    /// Reads until the peer ends the connection.
    std::string read_all();
    /// Returns whether the peer has ended the connection, waiting at most timeout_ms.
    bool ended(int timeout_ms);
    /// Ends the own output and keeps reading.
    void end_output();
    int fd() const { return fd_; }

private:
    bool receive();

    int fd_ = -1;
    bool up_ = false;
    std::string buffer_;
};

}  // namespace molink::test
