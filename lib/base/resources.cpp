// Asks the system for descriptors and address space that are needed later, and gives them back.
// libzmq, for one, calls abort() when it gets no descriptor. What is asked for is only a little
// more than a node takes when it starts. Relies on POSIX limits, which count per process.
#include "base/resources.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace molink {
namespace {

std::string limit_text(int resource) {
    struct ::rlimit limit = {};
    if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return "unknown";
    return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_cur);
}

Status check_descriptors(std::string_view what, std::size_t needed) {
    std::vector<int> opened;
    opened.reserve(needed);
    int error = 0;
    while (opened.size() < needed && error == 0) {
        const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (descriptor >= 0) {
            opened.push_back(descriptor);
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    for (const int descriptor : opened) ::close(descriptor);
    if (error == 0) return {};
    return make_error(StatusCode::resource_exhausted,
                      "{}: {} file descriptors are needed, but only {} are left ({}); the limit of "
                      "this process is {} (ulimit -n)",
                      what, needed, opened.size(), std::generic_category().message(error),
                      limit_text(RLIMIT_NOFILE));
}

Status check_address_space(std::string_view what, std::size_t bytes) {
    void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) {
        ::munmap(memory, bytes);
        return {};
    }
    return make_error(StatusCode::resource_exhausted,
                      "{}: {} bytes of address space are needed, but they are not left ({}); the "
                      "limit of this process is {} (RLIMIT_AS)",
                      what, bytes, std::generic_category().message(errno), limit_text(RLIMIT_AS));
}

}  // namespace

Status shortage_of(std::string_view what, const std::system_error& error) {
    const std::error_code& code = error.code();
    const bool shortage =
        code == std::errc::resource_unavailable_try_again || code == std::errc::not_enough_memory ||
        code == std::errc::too_many_files_open || code == std::errc::too_many_files_open_in_system;
    return make_error(shortage ? StatusCode::resource_exhausted : StatusCode::internal, "{}: {}",
                      what, error.what());
}

Status check_resources(std::string_view what, const NeededResources& needed) {
    MOLINK_RETURN_IF_ERROR(check_descriptors(what, needed.descriptors));
    if (needed.address_bytes == 0) return {};
    return check_address_space(what, needed.address_bytes);
}

}  // namespace molink
