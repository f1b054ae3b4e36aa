// Host names, IPv6 and interfaces between real processes, names that nobody knows, and workers that
// claim what another one has.
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <molink/address.h>

#include "support/catch.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using molink::test::Flags;
using molink::test::Process;
using molink::test::operator+;

namespace {

const std::string kBin = MOLINK_BIN_DIR;
constexpr double kLimitS = 60;

struct Scene {
    TempDir dir;
    std::string port = std::to_string(molink::test::free_port());
    Flags common;

    Scene() {
        REQUIRE(write_tiny_model(dir.path(), {}).ok());
        common = {"--model", dir.string(), "--threads", "1", "--memory-gib", "0.1"};
    }
    std::unique_ptr<Process> start(const char* program, const Flags& more) const {
        return std::make_unique<Process>(kBin + "/" + program, common + more);
    }
    Flags job(const char* stages) const {
        return {"--prompt", "x", "--max-tokens", "3", "--ignore-eos", "--stages", stages};
    }
};

void ends_with(Process& process, int expected) {
    const int status = process.wait(kLimitS);
    INFO(process.errors());
    REQUIRE(status == expected);
}

bool says(const std::string& text, const std::string& words) {
    INFO(text);
    CHECK(text.find(words) != std::string::npos);
    return text.find(words) != std::string::npos;
}

bool has_ipv6() {
    return molink::resolve_host("lo", molink::AddressUse::listen)->back() == "::1";
}

}  // namespace

TEST_CASE("nodes listen and join at names, interfaces, all addresses and IPv6") {
    struct Case {
        std::string listen;
        std::string join;
        std::string worker;
    };
    std::vector<Case> cases{{"localhost", "localhost", "lo"},
                            {"127.0.0.1", "localhost", "localhost"}};
    if (has_ipv6()) {
        cases.push_back({"[::1]", "[::1]", "[::1]"});
        cases.push_back({"[::]", "localhost", "[::1]"});
    }
    for (const Case& item : cases) {
        INFO(item.listen);
        const Scene scene;
        Flags head = scene.job("2") + Flags{"--listen", "tcp://" + item.listen + ":" + scene.port};
        // Names are not taken for loopback without looking; all addresses are not.
        head = head + Flags{"--insecure"};
        if (item.listen == "[::]") head = head + Flags{"--advertise", "tcp://[::1]:" + scene.port};
        auto first = scene.start("molink-generate", head);
        auto worker = scene.start("molink-worker", {"--give-up-after", "0", "--insecure", "--join",
                                                    "tcp://" + item.join + ":" + scene.port,
                                                    "--listen", "tcp://" + item.worker + ":*"});
        ends_with(*first, 0);
        ends_with(*worker, 0);
    }
}

TEST_CASE("a name that nobody knows is named, not taken for a head that does not answer") {
    const Scene scene;
    const std::string unknown = "no-such-host.invalid";
    const std::string words = "the host name '" + unknown + "' cannot be resolved";
    auto worker = scene.start("molink-worker", {"--insecure", "--join-within", "1", "--join",
                                                "tcp://" + unknown + ":7100"});
    ends_with(*worker, 4);
    REQUIRE(says(worker->errors(), "warning: " + words));
    REQUIRE(says(worker->errors(), "within 1 s: " + words));
    auto head = scene.start("molink-generate", scene.job("1") + Flags{"--insecure", "--listen",
                                                                      "tcp://" + unknown + ":*"});
    ends_with(*head, 2);
    REQUIRE(says(head->errors(), words));
    auto far = scene.start("molink-worker", {"--join", "tcp://127.0.0.1:65536"});
    ends_with(*far, 2);
    REQUIRE(says(far->errors(), "join is '127.0.0.1:65536': the port is 65536"));
}

TEST_CASE("the second worker with one advertised address is told, and the first stays") {
    const Scene scene;
    const std::string join = "tcp://127.0.0.1:" + scene.port;
    const Flags claim{"--join", join, "--advertise",
                      "tcp://127.0.0.1:" + std::to_string(molink::test::free_port())};
    auto head = scene.start("molink-generate", scene.job("4") + Flags{"--listen", join, "--wait",
                                                                      "600", "--no-link-probes"});
    auto first = scene.start("molink-worker", claim + Flags{"--name", "first"});
    auto second = scene.start("molink-worker", claim + Flags{"--name", "second"});
    // One of them is told, again and again; the other one never is.
    const std::string told = "turned away by the head for now: node '";
    Process* pair[] = {first.get(), second.get()};
    Process* loser = nullptr;
    for (int i = 0; i < 600 && loser == nullptr; ++i) {
        for (Process* one : pair) {
            (void)one->wait(0.05);
            if (one->errors().find(told) != std::string::npos) loser = one;
        }
    }
    REQUIRE(loser != nullptr);
    REQUIRE(says(loser->errors(), "which is connected"));
    Process* winner = loser == pair[0] ? pair[1] : pair[0];
    REQUIRE(winner->wait(3.0) == -1);
    REQUIRE(winner->errors().find("turned away") == std::string::npos);
    REQUIRE(loser->wait(0.1) == -1);
}

TEST_CASE("the second worker with one key file is told, and how to have another") {
    const Scene scene;
    const std::string state = scene.dir.string();
    ::setenv("XDG_STATE_HOME", state.c_str(), 1);
    const std::string join = "tcp://127.0.0.1:" + scene.port;
    const auto run_key = [](const Flags& flags) {
        Process key(kBin + "/molink-key", flags);
        ends_with(key, 0);
        return key.output().substr(0, key.output().find('\n'));
    };
    const std::string head_key = (scene.dir / "head.key").string();
    const std::string allow = (scene.dir / "head.access").string();
    run_key({"new", head_key});
    const std::string token =
        run_key({"token", "--key", head_key, "--allow", allow, "--address", join, "--reusable"});
    auto first = scene.start("molink-worker", {"--token", token, "--give-up-after", "0"});
    auto second = scene.start("molink-worker", {"--token", token, "--give-up-after", "0"});
    Process* pair[] = {first.get(), second.get()};
    Process* loser = nullptr;
    for (int i = 0; i < 600 && loser == nullptr; ++i) {
        for (Process* one : pair) {
            if (one->wait(0.05) != -1) loser = one;
        }
    }
    ::unsetenv("XDG_STATE_HOME");
    REQUIRE(loser != nullptr);
    ends_with(*loser, 1);
    REQUIRE(says(loser->errors(), state + "/molink/worker.key is used by another worker"));
    REQUIRE(says(loser->errors(), "--key FILE"));
    auto other = scene.start("molink-worker", {"--token", token, "--give-up-after", "0", "--key",
                                               (scene.dir / "other.key").string()});
    auto head = scene.start("molink-generate", scene.job("3") + Flags{"--listen", join, "--key",
                                                                      head_key, "--allow", allow});
    ends_with(*head, 0);
    Process* winner = loser == pair[0] ? pair[1] : pair[0];
    ends_with(*winner, 0);
    ends_with(*other, 0);
}
