#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace molink::test {

/// Arguments of a program.
using Flags = std::vector<std::string>;

/// The flags of `a`, then those of `b`.
Flags operator+(Flags a, const Flags& b);

/// A child process whose output is captured. The destructor kills it. The methods wait for events
/// with a deadline and never sleep.
class Process {
public:
    /// Starts `program` with `arguments`. Throws std::runtime_error.
    Process(const std::string& program, const Flags& arguments);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    /// Waits for the end. Returns the exit status or 128 + signal; -1 if it still runs after
    /// timeout_s.
    int wait(double timeout_s);
    pid_t pid() const { return pid_; }
    /// Sends a signal.
    void signal(int number) const;
    /// Reads standard output until `text` was seen or the time is up. Returns true when it was
    /// seen.
    bool read_until(const std::string& text, double timeout_s);
    /// Standard output and standard error so far; complete after wait().
    const std::string& output() const { return output_; }
    const std::string& errors() const { return errors_; }

private:
    /// Reads what arrives within timeout_s. Returns true when the process has ended.
    bool drain(double timeout_s);

    pid_t pid_ = -1;
    int pid_fd_ = -1;
    int out_fd_ = -1;
    int error_fd_ = -1;
    int status_ = -1;
    std::string output_;
    std::string errors_;
};

/// Returns a TCP port on loopback that was free at the time of the call.
int free_port();

/// Connects to a port on loopback, sends bytes and closes. Returns false when nobody listens.
bool send_bytes(int port, const std::string& bytes);

}  // namespace molink::test
