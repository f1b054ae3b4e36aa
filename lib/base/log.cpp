// What a log line may contain and what it may cost. Names, addresses and reasons come from peers:
// they could write terminal commands, forge lines, or fill a disk. A sink belongs to the host,
// which may have closed what it writes to.
#include "base/log.h"

#include <fmt/format.h>

#include "base/limits.h"

namespace molink {
namespace {

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::string escaped(const std::string& line) {
    std::string text;
    for (const char c : line) {
        if (text.size() >= limits::kMaxLogLineBytes) return text + "...";
        if (is_control(c)) {
            text += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
        } else {
            text += c;
        }
    }
    return text;
}

}  // namespace

void write_log_line(LogSink& sink, LogLevel level, std::string line) noexcept {
    try {
        sink.write(level, escaped(line));
    } catch (...) {
        // The host's sink failed. There is nobody to tell.
    }
}

}  // namespace molink
