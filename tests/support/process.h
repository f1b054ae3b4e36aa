#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace molink::test {

/// A child process with its output captured. Killed when the object goes. Waiting is on events with
/// a deadline, never by sleeping.
class Process {
public:
    /// Starts `program` with `arguments`. Throws std::runtime_error.
    Process(const std::string& program, const std::vector<std::string>& arguments);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    /// Exit status, or 128 + signal; -1 when it still runs after timeout_s.
    int wait(double timeout_s);
    pid_t pid() const { return pid_; }
    /// Sends a signal.
    void signal(int number) const;
    /// Reads standard output until `text` was seen or the time is up; true when seen.
    bool read_until(const std::string& text, double timeout_s);
    /// All standard output and error so far; everything after wait().
    const std::string& output() const { return output_; }
    const std::string& errors() const { return errors_; }

private:
    bool drain(double timeout_s);

    pid_t pid_ = -1;
    int pid_fd_ = -1;
    int out_fd_ = -1;
    int error_fd_ = -1;
    int status_ = -1;
    std::string output_;
    std::string errors_;
};

/// A TCP port on loopback that was free a moment ago.
int free_port();

/// Connects to a port on loopback and sends bytes; closes. False when nobody listens.
bool send_bytes(int port, const std::string& bytes);

}  // namespace molink::test
