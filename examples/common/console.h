#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <molink/engine.h>
#include <molink/log.h>

namespace molink::examples {

/// Writes a text to standard error. A broken standard error is ignored.
void say(const std::string& text);

/// Writes log lines to standard error. The log level of the node says which lines it gets.
class ConsoleLog final : public LogSink {
public:
    explicit ConsoleLog(std::string program) : program_(std::move(program)) {}
    void write(LogLevel level, std::string_view message) override;

private:
    std::string program_;
};

/// A line of progress on standard error. On a terminal it is overwritten; otherwise it is printed
/// only after large changes.
class ProgressLine {
public:
    void show(const std::string& text, int percent);
    void finish();

private:
    int last_percent_ = -100;
    bool shown_ = false;
};

/// Returns a text such as "17.3 MiB".
std::string format_bytes(std::int64_t bytes);

/// Prints the split as a table on standard error: node, layers, memory, speed.
void print_split(const ClusterView& view, const ModelSpec& spec, const NodeOptions& options);

/// Prints bytes and round-trip time of each peer link on standard error.
void print_links(const std::vector<LinkMetrics>& links);

/// Makes the first SIGINT or SIGTERM set a flag instead of ending the process. The second one ends
/// it at once with 128 + signal. SIGPIPE is ignored: a reader that is gone ends nothing.
void catch_interrupts();
/// Lets the process outlive the terminal that started it.
void ignore_hangups();
bool interrupted();

}  // namespace molink::examples
