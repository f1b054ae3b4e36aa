// Names of the request enums, for logs, events and the programs' output. They are not in
// status.cpp, because <molink/request.h> includes far more than a status needs. Relies only on that
// header. The names are part of the interface and never change.
#include <molink/request.h>

namespace molink {

std::string_view finish_reason_name(FinishReason reason) {
    switch (reason) {
        case FinishReason::none: return "none";
        case FinishReason::stop: return "stop";
        case FinishReason::length: return "length";
        case FinishReason::cancelled: return "cancelled";
        case FinishReason::error: return "error";
    }
    return "unknown";
}

}  // namespace molink
