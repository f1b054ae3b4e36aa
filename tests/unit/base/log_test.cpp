// What reaches a log sink, and what a sink can do to a node.
#include "base/log.h"

#include <stdexcept>
#include <vector>

#include "base/limits.h"
#include "support/catch.h"

using namespace molink;

namespace {

struct Recorder final : LogSink {
    void write(LogLevel, std::string_view line) override { lines.emplace_back(line); }
    std::vector<std::string> lines;
};

struct Thrower final : LogSink {
    void write(LogLevel, std::string_view) override {
        ++calls;
        throw std::runtime_error("the disk is full");
    }
    int calls = 0;
};

}  // namespace

TEST_CASE("control characters of peers reach no terminal and forge no line") {
    Recorder sink;
    const Log log(&sink, LogLevel::info);
    log(LogLevel::info, "node '{}' joined", "a\x1b[2J\nb\x7f\xc3\xbc");
    REQUIRE(sink.lines.size() == 1);
    CHECK(sink.lines[0] == "node 'a\\x1b[2J\\x0ab\\x7f\xc3\xbc' joined");
}

TEST_CASE("a long line is cut") {
    Recorder sink;
    const Log log(&sink, LogLevel::info);
    log(LogLevel::info, "{}", std::string(100'000, 'x'));
    REQUIRE(sink.lines.size() == 1);
    CHECK(sink.lines[0].size() == limits::kMaxLogLineBytes + 3);
    CHECK(sink.lines[0].ends_with("x..."));
}

TEST_CASE("a sink that throws ends nothing") {
    Thrower sink;
    const Log log(&sink, LogLevel::info);
    CHECK_NOTHROW(log(LogLevel::error, "once"));
    CHECK_NOTHROW(log(LogLevel::error, "twice"));
    CHECK_NOTHROW(log(LogLevel::debug, "not at all"));
    CHECK(sink.calls == 2);
}
