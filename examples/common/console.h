#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <molink/engine.h>
#include <molink/log.h>

namespace molink::examples {

/// Log lines to standard error: errors and warnings, everything when verbose.
class ConsoleLog final : public LogSink {
public:
    explicit ConsoleLog(std::string program) : program_(std::move(program)) {}
    void write(LogLevel level, std::string_view message) override;

private:
    std::string program_;
};

/// One line on standard error; the same place again on a terminal, else only when it changed much.
class ProgressLine {
public:
    void show(const std::string& text, int percent);
    void finish();

private:
    int last_percent_ = -100;
    bool shown_ = false;
};

/// "17.3 MiB".
std::string format_bytes(std::int64_t bytes);

/// The split as a table on standard error: node, layers, memory, speed.
void print_split(const ClusterView& view, const ModelSpec& spec, const NodeOptions& options);

/// Bytes and round trip per link on standard error.
void print_links(const std::vector<LinkMetrics>& links);

/// Makes SIGINT and SIGTERM set a flag instead of ending the process.
void catch_interrupts();
bool interrupted();

}  // namespace molink::examples
