// Names of the request enums, for logs, events and the programs' output. Apart from status.cpp
// because <molink/request.h> pulls in far more than a status needs; relies on nothing but that
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
