// Keys in real processes over loopback TCP: joining by token and by list, what strangers and
// holders of old tokens get, revoking, and what someone sees who reads the traffic.
#include <memory>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/process.h"
#include "support/relay.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using molink::test::Flags;
using molink::test::Process;
using molink::test::operator+;

namespace {

const std::string kBin = MOLINK_BIN_DIR;
constexpr double kLimitS = 60;

/// Runs molink-key. Returns its output without the line end, or its errors if it must fail.
std::string run_key(const Flags& flags, int expected = 0) {
    Process key(kBin + "/molink-key", flags);
    REQUIRE(key.wait(kLimitS) == expected);
    const std::string text = expected == 0 ? key.output() : key.errors();
    return text.substr(0, text.find('\n'));
}

/// A model, a head's key and access file, and a port.
struct Scene {
    TempDir dir;
    std::string address = "tcp://127.0.0.1:" + std::to_string(molink::test::free_port());
    std::string key = (dir / "head.key").string();
    std::string allow = (dir / "head.access").string();
    std::string head_key = run_key({"new", key});
    Flags common{"--model", dir.string(), "--threads", "1", "--memory-gib", "0.1"};

    Scene() { REQUIRE(write_tiny_model(dir.path(), {}).ok()); }

    std::string token(const Flags& more = {}) const {
        return run_key(Flags{"token", "--key", key, "--allow", allow, "--address", address} + more);
    }
    /// Sets the time of all tokens to long ago.
    void expire_tokens() const {
        std::string text = read_file(allow);
        for (std::size_t at = text.find(" until "); at != std::string::npos;
             at = text.find(" until ", at + 1)) {
            text.replace(at + 7, text.find('\n', at) - at - 7, "1");
        }
        write_file(allow, text);
    }
    std::string file(const std::string& name) const { return (dir / name).string(); }
    std::unique_ptr<Process> head(const Flags& more) const {
        return std::make_unique<Process>(
            kBin + "/molink-generate",
            common + Flags{"--listen", address, "--key", key, "--allow", allow} + more);
    }
    std::unique_ptr<Process> worker(const Flags& more) const {
        return std::make_unique<Process>(kBin + "/molink-worker",
                                         common + Flags{"--give-up-after", "0"} + more);
    }
};

const Flags kJob{"--prompt",     "The quick brown fox jumps over the lazy dog, and then it rests.",
                 "--max-tokens", "40",
                 "--json",       "--hash-logits",
                 "--ignore-eos", "--partitioner",
                 "even"};

std::string hashes_of(Process& head) {
    const int status = head.wait(kLimitS);
    INFO(head.errors());
    REQUIRE(status == 0);
    const std::string json = head.output();
    const std::size_t begin = json.find("\"logit_hashes\":[");
    REQUIRE(begin != std::string::npos);
    return json.substr(begin, json.find(']', begin) - begin);
}

void says(Process& process, int status, const std::string& words) {
    REQUIRE(process.wait(kLimitS) == status);
    INFO(process.errors());
    CHECK(process.errors().find(words) != std::string::npos);
}

}  // namespace

TEST_CASE("workers join by token and by list, and keys change no bit") {
    const Scene scene;
    Process alone(kBin + "/molink-generate", scene.common + kJob);
    const std::string expected = hashes_of(alone);
    const std::string listed = run_key({"new", scene.file("listed.key")});
    run_key({"allow", "--allow", scene.allow, listed, "listed"});
    const std::string token = scene.token();
    const Flags by_token{"--token", token, "--key", scene.file("new.key")};
    const Flags by_list{"--join",       scene.address, "--head-key",
                        scene.head_key, "--key",       scene.file("listed.key")};
    for (int round = 0; round < 2; ++round) {  // the second time the token is used up
        auto head = scene.head(kJob + Flags{"--stages", "3"});
        auto first = scene.worker(by_token);
        auto second = scene.worker(by_list);
        REQUIRE(hashes_of(*head) == expected);
        REQUIRE(first->wait(kLimitS) == 0);
        REQUIRE(second->wait(kLimitS) == 0);
    }
}

TEST_CASE("a used token, an expired one and a key that nobody allowed get no answer") {
    const Scene scene;
    run_key({"allow", "--allow", scene.allow, run_key({"new", scene.file("good.key")})});
    const std::string expired = scene.token();
    scene.expire_tokens();
    const std::string used = scene.token();
    auto head = scene.head(kJob + Flags{"--stages", "3", "--wait", "40"});
    const Flags soon{"--join-within", "8"};
    auto first = scene.worker(Flags{"--token", used, "--key", scene.file("first.key")} + soon);
    REQUIRE(first->read_until("", 0.1));
    auto thief = scene.worker(Flags{"--token", used, "--key", scene.file("thief.key")} + soon);
    auto late = scene.worker(Flags{"--token", expired, "--key", scene.file("late.key")} + soon);
    run_key({"new", scene.file("stranger.key")});
    auto stranger = scene.worker(Flags{"--join", scene.address, "--head-key", scene.head_key,
                                       "--key", scene.file("stranger.key")} +
                                 soon);
    auto plain = scene.worker(Flags{"--join", scene.address} + soon);
    says(*stranger, 4, "does not permit the key");
    says(*plain, 4, "no head answered");
    says(*late, 4, "the join token is used or expired");
    auto second = scene.worker(
        {"--join", scene.address, "--head-key", scene.head_key, "--key", scene.file("good.key")});
    (void)hashes_of(*head);
    // Whichever of the two came first has used the token up.
    CHECK(first->wait(kLimitS) + thief->wait(kLimitS) == 4);
}

TEST_CASE("flags about keys that contradict each other are refused") {
    const Scene scene;
    run_key({"new", scene.file("worker.key")});
    auto head = scene.worker({"--join", scene.address, "--key", scene.file("worker.key")});
    says(*head, 2, "needs the head's public key or a token");
    Process open(kBin + "/molink-generate",
                 scene.common + Flags{"--key", scene.key, "--prompt", "x"});
    says(open, 2, "the access file is missing");
    auto broken = scene.worker({"--token", "molink1-00"});
    says(*broken, 2, "was not copied as a whole");
    CHECK(run_key({"new", scene.key}, 1).find("it exists and is not replaced") !=
          std::string::npos);
    CHECK(run_key({"show", scene.key}) == scene.head_key);
}
