// See process.h.
#include "support/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <utility>

extern char** environ;

namespace molink::test {
namespace {

using Clock = std::chrono::steady_clock;

void make_pipe(int fds[2]) {
    if (::pipe2(fds, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
}

/// Appends what can be read now. Returns false at the end of the stream.
bool read_some(int fd, std::string& text) {
    char buffer[4096];
    while (true) {
        const ssize_t got = ::read(fd, buffer, sizeof buffer);
        if (got <= 0) return got < 0;
        text.append(buffer, static_cast<std::size_t>(got));
    }
}

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

}  // namespace

Flags operator+(Flags a, const Flags& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

Process::Process(const std::string& program, const Flags& arguments) {
    int out[2];
    int error[2];
    make_pipe(out);
    make_pipe(error);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    ::posix_spawn_file_actions_adddup2(&actions, error[1], 2);
    std::vector<char*> argv{const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    const int failed =
        ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    ::close(error[1]);
    out_fd_ = out[0];
    error_fd_ = error[0];
    if (failed != 0) throw std::runtime_error("cannot start " + program);
    pid_fd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
}

Process::~Process() {
    if (status_ < 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    for (int fd : {pid_fd_, out_fd_, error_fd_}) {
        if (fd >= 0) ::close(fd);
    }
}

void Process::signal(int number) const {
    if (status_ < 0) ::kill(pid_, number);
}

bool Process::drain(double timeout_s) {
    pollfd fds[3] = {{out_fd_, POLLIN, 0}, {error_fd_, POLLIN, 0}, {pid_fd_, POLLIN, 0}};
    ::poll(fds, 3, static_cast<int>(std::max(timeout_s, 0.0) * 1000));
    if (out_fd_ >= 0 && !read_some(out_fd_, output_)) ::close(std::exchange(out_fd_, -1));
    if (error_fd_ >= 0 && !read_some(error_fd_, errors_)) ::close(std::exchange(error_fd_, -1));
    return (fds[2].revents & POLLIN) != 0;
}

bool Process::read_until(const std::string& text, double timeout_s) {
    const auto end = Clock::now() + std::chrono::duration<double>(timeout_s);
    while (output_.find(text) == std::string::npos) {
        const double left = std::chrono::duration<double>(end - Clock::now()).count();
        if (left <= 0) return false;
        if (drain(left)) {
            drain(0);
            return output_.find(text) != std::string::npos;
        }
    }
    return true;
}

int Process::wait(double timeout_s) {
    const auto end = Clock::now() + std::chrono::duration<double>(timeout_s);
    while (status_ < 0) {
        const double left = std::chrono::duration<double>(end - Clock::now()).count();
        if (left <= 0) return -1;
        if (!drain(left)) continue;
        drain(0);
        int status = 0;
        ::waitpid(pid_, &status, 0);
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return status_;
}

int free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
}

bool send_bytes(int port, const std::string& bytes) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        ::close(fd);
        return false;
    }
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    ::close(fd);
    return sent >= 0;
}

}  // namespace molink::test
