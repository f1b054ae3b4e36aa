// Runs code in a child process with limits that would harm the rest of the test.
#include "support/limited_child.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <stdexcept>

namespace molink::test {
namespace {

void set_limit(int resource, std::size_t value) {
    struct ::rlimit limit = {};
    limit.rlim_cur = limit.rlim_max = value;
    if (::setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) ::_exit(99);
}

std::size_t address_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::size_t pages = 0;
    statm >> pages;
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void write_all(int descriptor, const std::string& text) {
    if (::write(descriptor, text.data(), text.size()) != static_cast<::ssize_t>(text.size())) {
        ::_exit(98);
    }
}

}  // namespace

ChildResult run_limited(std::size_t descriptors, std::size_t more_bytes,
                        const std::function<Status()>& attempt) {
    int ends[2] = {};
    if (::pipe(ends) != 0) throw std::runtime_error("no pipe for a child process");
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("no child process");
    if (child == 0) {
        ::alarm(100);
        if (more_bytes > 0) set_limit(RLIMIT_AS, address_bytes() + more_bytes);
        if (descriptors > 0) set_limit(RLIMIT_NOFILE, descriptors);
        const Status status = attempt();
        write_all(ends[1], std::to_string(static_cast<int>(status.code())) + " " +
                               status.message().substr(0, 3000));
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char buffer[4096];
    for (::ssize_t count = 0; (count = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
        text.append(buffer, static_cast<std::size_t>(count));
    }
    ::close(ends[0]);
    int state = 0;
    ::waitpid(child, &state, 0);
    ChildResult result;
    if (WIFSIGNALED(state)) {
        result.signal = WTERMSIG(state);
        return result;
    }
    if (WEXITSTATUS(state) != 0 || text.empty()) {
        throw std::runtime_error("the child ended with " + std::to_string(WEXITSTATUS(state)));
    }
    const std::size_t space = text.find(' ');
    result.code = static_cast<StatusCode>(std::stoi(text.substr(0, space)));
    result.message = text.substr(space + 1);
    return result;
}

bool limits_address_space() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false;
#else
    return true;
#endif
}

}  // namespace molink::test
