// Console output of the programs. Only generated text goes to standard output, so that it can be
// piped. Everything else goes to standard error.
#include "common/console.h"

#include <unistd.h>
#include <algorithm>

#include <csignal>
#include <cstdio>

#include <fmt/format.h>

namespace molink::examples {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;

}  // namespace

void say(const std::string& text) {
    (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

void ConsoleLog::write(LogLevel level, std::string_view message) {
    const char* word = level == LogLevel::error     ? "error: "
                       : level == LogLevel::warning ? "warning: "
                                                    : "";
    say(fmt::format("{}: {}{}\n", program_, word, message));
}

void ProgressLine::show(const std::string& text, int percent) {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    if (!terminal && percent < last_percent_ + 25 && percent < 100) return;
    if (percent == last_percent_) return;
    last_percent_ = percent;
    if (terminal) {
        say(fmt::format("\r\033[K{}", text));
        shown_ = true;
    } else {
        say(fmt::format("{}\n", text));
    }
    std::fflush(stderr);
}

void ProgressLine::finish() {
    if (shown_) say(fmt::format("\r\033[K"));
    shown_ = false;
}

std::string format_bytes(std::int64_t bytes) {
    const auto value = static_cast<double>(bytes);
    if (bytes >= 1 << 30) return fmt::format("{:.2f} GiB", value / (1 << 30));
    if (bytes >= 1 << 20) return fmt::format("{:.1f} MiB", value / (1 << 20));
    return fmt::format("{:.1f} KiB", value / (1 << 10));
}

void print_split(const ClusterView& view, const ModelSpec& spec, const NodeOptions& options) {
    say(fmt::format("{}: {} layers, hidden {}, vocabulary {}\n", spec.architecture, spec.layers,
                    spec.hidden, spec.vocabulary));
    std::size_t width = 16;
    for (const NodeInfo& node : view.nodes) width = std::max(width, node.name.size());
    say(fmt::format("{:<{}} {:>8} {:>12} {:>12} {:>12}\n", "node", width, "layers", "weights",
                    "KV cache", "ms/layer"));
    for (NodeId id : view.stages) {
        for (const NodeInfo& node : view.nodes) {
            if (node.id != id) continue;
            const std::int64_t kv = node.kv_blocks * options.block_tokens * node.layers.size() *
                                    kv_bytes_per_position(spec, options.kv_type);
            say(fmt::format("{:<{}} {:>8} {:>12} {:>12} {:>12.3f}\n", node.name, width,
                            fmt::format("{}-{}", node.layers.begin, node.layers.end - 1),
                            format_bytes(node.weight_bytes), format_bytes(kv),
                            node.decode_layer_us / 1000));
        }
    }
}

void print_links(const std::vector<LinkMetrics>& links) {
    for (const LinkMetrics& link : links) {
        say(fmt::format("link {} - {}: sent {}, received {}, round trip {:.2f} ms\n", link.node,
                        link.peer, format_bytes(static_cast<std::int64_t>(link.sent_bytes)),
                        format_bytes(static_cast<std::int64_t>(link.received_bytes)),
                        static_cast<double>(link.round_trip_us) / 1000));
    }
}

void catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = [](int signal) {
        if (g_interrupted != 0) ::_exit(128 + signal);
        g_interrupted = 1;
    };
    for (int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

void ignore_hangups() {
    std::signal(SIGHUP, SIG_IGN);
}

bool interrupted() {
    return g_interrupted != 0;
}

}  // namespace molink::examples
