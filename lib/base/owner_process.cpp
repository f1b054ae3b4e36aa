// Tells the process that opened a handle from its children. The id of the process is asked for at
// every check: no handler of fork() is registered, so that nothing of this library runs inside
// fork(), and unloading the library leaves nothing behind.
#include <molink/owner_process.h>

#include <unistd.h>

#include "base/error.h"

namespace molink {

OwnerProcess::OwnerProcess(const char* what) : what_(what), process_(::getpid()) {}

Status OwnerProcess::check() const {
    const std::int64_t here = ::getpid();
    if (here == process_) return {};
    return make_error(StatusCode::failed_precondition,
                      "{} was opened in process {}, this is process {}: after fork() only the "
                      "process that opened it can use it",
                      what_, process_, here);
}

}  // namespace molink
