// See raw_client.h.
#include "support/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace molink::test {

RawClient::RawClient(int port, int receive_buffer)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) {
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    const timeval limit{60, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    up_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

RawClient::~RawClient() {
    if (fd_ >= 0) ::close(fd_);
}

RawClient::RawClient(RawClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      up_(std::exchange(other.up_, false)),
      buffer_(std::move(other.buffer_)) {}

bool RawClient::send(const std::string& bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
        const ssize_t count = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (count <= 0) return false;
        sent += static_cast<std::size_t>(count);
    }
    return up_;
}

bool RawClient::receive() {
    char chunk[16384];
    const ssize_t count = ::recv(fd_, chunk, sizeof chunk, 0);
    if (count <= 0) return false;
    buffer_.append(chunk, static_cast<std::size_t>(count));
    return true;
}

std::string RawClient::read_until(const std::string& text) {
    while (true) {
        const std::size_t at = buffer_.find(text);
        if (at != std::string::npos) {
            std::string seen = buffer_.substr(0, at + text.size());
            buffer_.erase(0, seen.size());
            return seen;
        }
        if (!receive()) return std::exchange(buffer_, std::string());
    }
}

std::string RawClient::read_all() {
    while (receive()) {
    }
    return std::exchange(buffer_, std::string());
}

bool RawClient::ended(int timeout_ms) {
    pollfd wait{fd_, POLLIN, 0};
    while (::poll(&wait, 1, timeout_ms) == 1) {
        if (!receive()) return true;
    }
    return false;
}

void RawClient::end_output() {
    ::shutdown(fd_, SHUT_WR);
}

}  // namespace molink::test
