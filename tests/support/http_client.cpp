// See http_client.h. Just enough HTTP/1.1 to test a server; the answer is not validated.
#include "support/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace molink::test {
namespace {

class Connection {
public:
    explicit Connection(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval limit{60, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        up_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    }
    ~Connection() { ::close(fd_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool send(const std::string& text) {
        for (std::size_t sent = 0; up_ && sent < text.size();) {
            const ssize_t n = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
            if (n <= 0) return false;
            sent += static_cast<std::size_t>(n);
        }
        return up_;
    }
    /// Appends what arrives next. Returns false at the end.
    bool receive(std::string& out) {
        char buffer[4096];
        const ssize_t n = up_ ? ::recv(fd_, buffer, sizeof(buffer), 0) : 0;
        if (n <= 0) return false;
        out.append(buffer, static_cast<std::size_t>(n));
        return true;
    }

private:
    int fd_;
    bool up_ = false;
};

std::string request_text(const std::string& method, const std::string& path,
                         const std::string& body) {
    return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" +
           (body.empty() ? "" : "Content-Type: application/json\r\n") +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Joins chunks. Returns true when the last, empty chunk is there.
bool join_chunks(const std::string& raw, std::string& out) {
    for (std::size_t at = 0; at < raw.size();) {
        const std::size_t line = raw.find("\r\n", at);
        if (line == std::string::npos) return false;
        const std::size_t size = std::strtoul(raw.c_str() + at, nullptr, 16);
        if (size == 0) return true;
        out += raw.substr(line + 2, size);
        at = line + 2 + size + 2;
    }
    return false;
}

}  // namespace

HttpAnswer http_request(int port, const std::string& method, const std::string& path,
                        const std::string& body) {
    HttpAnswer answer;
    Connection connection(port);
    if (!connection.send(request_text(method, path, body))) return answer;
    std::string text;
    while (connection.receive(text)) {
    }
    const std::size_t end = text.find("\r\n\r\n");
    if (end == std::string::npos || text.size() < 12) return answer;
    answer.status = std::atoi(text.c_str() + 9);
    answer.headers = text.substr(0, end);
    const std::string raw = text.substr(end + 4);
    if (answer.headers.find("chunked") != std::string::npos) {
        answer.whole = join_chunks(raw, answer.body);
    } else {
        answer.body = raw;
        answer.whole = true;
    }
    return answer;
}

bool http_hang_up(int port, const std::string& path, const std::string& body, std::size_t bytes) {
    Connection connection(port);
    if (!connection.send(request_text("POST", path, body))) return false;
    std::string text;
    while (text.size() < bytes) {
        if (!connection.receive(text)) return false;
    }
    return true;
}

}  // namespace molink::test
