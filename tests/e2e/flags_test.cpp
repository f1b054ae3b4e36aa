// Flags from the command line, from variables and from a file, and what the programs say of
// themselves.
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "support/catch.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "wire/protocol.h"

using molink::test::Flags;
using molink::test::Process;

namespace {

const std::string kBin = MOLINK_BIN_DIR;
constexpr double kLimitS = 60;

/// Sets a variable of this process, which children inherit, while it exists.
class Variable {
public:
    Variable(const char* name, const std::string& value) : name_(name) {
        ::setenv(name, value.c_str(), 1);
    }
    ~Variable() { ::unsetenv(name_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    const char* name_;
};

/// Runs a program that must refuse its flags. Returns what it says.
std::string refusal(const std::string& program, const Flags& flags) {
    Process process(kBin + "/" + program, flags);
    const int status = process.wait(kLimitS);
    INFO(process.errors());
    REQUIRE(status == 2);
    return process.errors();
}

bool has(const std::string& text, const std::string& words) {
    INFO(text);
    CHECK(text.find(words) != std::string::npos);
    return text.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("every program tells release and protocol in the same form") {
    for (const char* program : {"molink-serve", "molink-worker", "molink-generate", "molink-plan",
                                "molink-simulate", "molink-key"}) {
        INFO(program);
        Process process(kBin + "/" + program, {"--version"});
        REQUIRE(process.wait(kLimitS) == 0);
        REQUIRE(process.output() == fmt::format("{}, protocol {}.{}\n", molink::kReleaseName,
                                                molink::kProtocolMajor, molink::kProtocolMinor));
    }
}

TEST_CASE("the command line goes before variables, and variables before the file") {
    const TempDir dir;
    const std::string file = (dir / "worker.conf").string();
    write_file(file, "# of a test\nmodel = m\nmemory-gib = -1  # the file\n");
    const Flags flags{"--config", file};
    REQUIRE(has(refusal("molink-worker", flags), "--memory-gib is -1"));
    const Variable variable("MOLINK_MEMORY_GIB", "-2");
    REQUIRE(has(refusal("molink-worker", flags), "--memory-gib is -2"));
    REQUIRE(has(refusal("molink-worker", {"--config", file, "--memory-gib", "-3"}),
                "--memory-gib is -3"));
    const Variable config("MOLINK_CONFIG", file);
    const Variable layers("MOLINK_LAYERS", "x");
    REQUIRE(has(refusal("molink-worker", {"--memory-gib", "1"}), "--layers is 'x'"));
}

TEST_CASE("a whole run may be in a file") {
    const TempDir dir;
    REQUIRE(write_tiny_model(dir.path(), {}).ok());
    const Flags flags{"--model",      dir.string(), "--threads",    "1",
                      "--memory-gib", "0.1",        "--prompt",     "once, upon # a time",
                      "--max-tokens", "5",          "--ignore-eos", "--json",
                      "--hash-logits"};
    Process typed(kBin + "/molink-generate", flags);
    REQUIRE(typed.wait(kLimitS) == 0);
    const std::string file = (dir / "run.conf").string();
    write_file(file, "model = '" + dir.string() +
                         "'\nthreads=1\nmemory-gib = 0.1\nbackend = cpu:0\n"
                         "prompt = \"once, upon # a time\"\nmax-tokens = 5\n"
                         "ignore-eos = true\njson = true\nhash-logits = true\n");
    Process read(kBin + "/molink-generate", {"--config", file});
    const int status = read.wait(kLimitS);
    INFO(read.errors());
    REQUIRE(status == 0);
    const auto hashes = [](const std::string& json) {
        const std::size_t begin = json.find("\"logit_hashes\":[");
        REQUIRE(begin != std::string::npos);
        return json.substr(begin, json.find(']', begin) - begin);
    };
    REQUIRE(hashes(read.output()) == hashes(typed.output()));
}

TEST_CASE("what is wrong with a file is told with its line") {
    const TempDir dir;
    const std::string file = (dir / "flags.conf").string();
    const struct {
        const char* program;
        const char* text;
        const char* words;
    } cases[] = {
        {"molink-worker", "model = m\nthread = 1\n", "line 2: 'thread' is unknown"},
        {"molink-worker", "http = 127.0.0.1:80\n", "line 1: 'http' is unknown"},
        {"molink-worker", "config = other\n", "'config' is unknown"},
        {"molink-worker", "model = m\nmodel = n\n", "line 2: 'model' is there twice"},
        {"molink-worker", "[worker]\nmodel = m\n", "line 1: [worker]: there are no sections"},
        {"molink-worker", "model\n", "line 1: it is not KEY = VALUE"},
        {"molink-worker", "model = \"m\n", "line 1: the quote is not closed"},
        {"molink-worker", "model = \"m\" n\n", "line 1: 'n' follows the value"},
        {"molink-worker", "threads = two\n", "threads"},
        {"molink-worker", "insecure = perhaps\n", "insecure"},
        {"molink-worker", "token = molink1-00\n", "'token' is a secret"},
        {"molink-serve", "api-key = abcdefghijklmnopqrstuvwx\n", "'api-key' does not name a file"},
        {"molink-serve", "cors = [\"https://a\", 'https://b'\n", "the list is not closed"},
        {"molink-simulate", "swarms = 5\n", "'swarms' is unknown"},
    };
    for (const auto& item : cases) {
        INFO(item.text);
        write_file(file, item.text);
        const std::string errors = refusal(item.program, {"--config", file});
        REQUIRE(has(errors, item.words));
        REQUIRE(errors.find("abcdefghijklmnopqrstuvwx") == std::string::npos);
    }
    REQUIRE(has(refusal("molink-worker", {"--config", file + ".none"}), file + ".none"));
    const Variable config("MOLINK_CONFIG", file + ".gone");
    REQUIRE(has(refusal("molink-worker", {"--model", "m"}), file + ".gone"));
}

TEST_CASE("a list in a file gives a flag several values, and the simulator reads files") {
    const TempDir dir;
    const std::string file = (dir / "flags.conf").string();
    const std::string key = (dir / "keys").string();
    write_file(key, "0123456789abcdef\n");
    write_file(file, "model = m\napi-key = [\"" + key + "\", " + key + "]\ndrain = -1\n");
    REQUIRE(has(refusal("molink-serve", {"--config", file}), "--drain is -1"));
    write_file(file, "swarm = 2\nquiet = true\n");
    Process swarm(kBin + "/molink-simulate", {"--config", file});
    REQUIRE(swarm.wait(kLimitS) == 0);
}
