#pragma once

#include <cstddef>
#include <new>
#include <string>
#include <string_view>
#include <system_error>

#include <molink/status.h>

#include "base/error.h"

namespace molink {

/// What a process needs in addition to what it has.
struct NeededResources {
    std::size_t descriptors = 0;
    std::size_t address_bytes = 0;
};

/// Checks that the process can get this much, and gives it back at once. Libraries that cannot
/// report a shortage end the process, so it is told before they are used. `what` is what needs it.
/// Errors: resource_exhausted with the number and the limit of the process.
Status check_resources(std::string_view what, const NeededResources& needed);

/// Returns the status of an error that the standard library throws, such as for a thread that the
/// system refuses: resource_exhausted for a shortage, otherwise internal.
Status shortage_of(std::string_view what, const std::system_error& error);

/// Returns what `work` returns: a Status or a Result. A shortage that the standard library throws
/// becomes resource_exhausted that says what was attempted.
template <typename Work>
auto report_shortage(std::string_view what, const Work& work) -> decltype(work()) {
    try {
        return work();
    } catch (const std::bad_alloc&) {
        return make_error(StatusCode::resource_exhausted, "{}: no memory is left", what);
    } catch (const std::system_error& error) {
        return shortage_of(what, error);
    }
}

}  // namespace molink
