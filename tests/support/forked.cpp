// Runs code in a child of fork() and brings its result back through a pipe. An alarm ends a child
// that hangs.
#include "support/forked.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

namespace molink::test {
namespace {

constexpr unsigned kChildMayTake_s = 60;

[[noreturn]] void run_child(int result, const std::function<std::string()>& checks) {
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(kChildMayTake_s);
    const std::string problem = checks();
    const ::ssize_t written = ::write(result, problem.data(), problem.size());
    ::_exit(written == static_cast<::ssize_t>(problem.size()) ? 0 : 1);
}

}  // namespace

std::string run_forked(const std::function<std::string()>& checks) {
    int ends[2] = {};
    if (::pipe(ends) != 0) throw std::runtime_error("no pipe for a child process");
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("no child process");
    if (child == 0) run_child(ends[1], checks);
    ::close(ends[1]);
    std::string problem;
    char buffer[512];
    for (::ssize_t count = 0; (count = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
        problem.append(buffer, static_cast<std::size_t>(count));
    }
    ::close(ends[0]);
    int state = 0;
    ::waitpid(child, &state, 0);
    if (WIFSIGNALED(state)) return "signal " + std::to_string(WTERMSIG(state)) + " ended the child";
    if (WEXITSTATUS(state) != 0) return "the child ended with " + std::to_string(state);
    return problem;
}

}  // namespace molink::test
