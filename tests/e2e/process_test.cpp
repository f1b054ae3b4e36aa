// Tests real processes over loopback TCP: the same results as one process, lost workers, refusals
// and bad input. Each case starts molink-generate and molink-worker as a user would.
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "support/catch.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using molink::Random;
using molink::test::Flags;
using molink::test::Process;
using molink::test::operator+;

namespace {

const std::string kBin = MOLINK_BIN_DIR;
constexpr double kLimitS = 60;

/// A folder with a tiny model, and the flags of a head and its workers on a port of their own.
struct Scene {
    TempDir dir;
    int port = molink::test::free_port();
    std::string address = "tcp://127.0.0.1:" + std::to_string(port);
    Flags common;

    explicit Scene(const TinyModelOptions& model = {}) {
        REQUIRE(write_tiny_model(dir.path(), model).ok());
        common = {"--model", dir.string(), "--threads", "1", "--memory-gib", "0.1"};
    }

    std::unique_ptr<Process> head(const Flags& more) const {
        return std::make_unique<Process>(kBin + "/molink-generate",
                                         common + Flags{"--listen", address} + more);
    }
    std::unique_ptr<Process> worker(const Flags& more = {}) const {
        return std::make_unique<Process>(
            kBin + "/molink-worker",
            common + Flags{"--join", address, "--give-up-after", "0"} + more);
    }
};

/// Returns the list `key` of a JSON line. Times, which differ between runs, are outside of it.
std::string part_of(const std::string& json, const std::string& key) {
    const std::size_t begin = json.find("\"" + key + "\":[");
    if (begin == std::string::npos) return {};
    return json.substr(begin, json.find(']', begin) - begin);
}

const Flags kJob{"--prompt",     "The quick brown fox jumps over the lazy dog, and then it rests.",
                 "--max-tokens", "40",
                 "--json",       "--hash-logits",
                 "--ignore-eos", "--partitioner",
                 "even"};

std::string result_of(Process& head) {
    const int status = head.wait(kLimitS);
    INFO(head.errors());
    REQUIRE(status == 0);
    const std::string hashes = part_of(head.output(), "logit_hashes");
    REQUIRE(hashes.size() > 500);
    return hashes + part_of(head.output(), "tokens");
}

/// Waits for a program that must fail. Returns what it wrote to standard error.
std::string failure_of(Process& process, int expected) {
    const int status = process.wait(kLimitS);
    INFO(process.errors());
    REQUIRE(status == expected);
    return process.errors();
}

bool says(const std::string& text, const std::string& words) {
    INFO(text);
    CHECK(text.find(words) != std::string::npos);
    return text.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("several processes give the bits of one") {
    for (const Flags& kind :
         std::vector<Flags>{{}, {"--weights", "q8_0", "--kv", "f16"}, {"--block-tokens", "32"}}) {
        const Scene scene;
        auto alone = scene.head(kJob + kind);
        const std::string expected = result_of(*alone);
        {
            auto head = scene.head(kJob + kind + Flags{"--stages", "3"});
            auto first = scene.worker(kind);
            auto second = scene.worker(kind);
            REQUIRE(result_of(*head) == expected);
            REQUIRE(first->wait(kLimitS) == 0);
            REQUIRE(second->wait(kLimitS) == 0);
        }
        auto head = scene.head(
            kJob + kind + Flags{"--stages", "2", "--no-local-stage", "--max-step-tokens", "14"});
        auto first = scene.worker(kind + Flags{"--layers", "0-3"});
        auto second = scene.worker(kind + Flags{"--layers", "4-5"});
        REQUIRE(result_of(*head) == expected);
    }
}

TEST_CASE("several processes give the bits of one with the LM head on the first stage") {
    TinyModelOptions tied;
    tied.tied = true;
    const Scene scene(tied);
    auto alone = scene.head(kJob);
    const std::string expected = result_of(*alone);
    const Flags first_stage{"--lm-head", "first"};
    {
        auto head = scene.head(kJob + first_stage + Flags{"--stages", "2"});
        auto worker = scene.worker();
        REQUIRE(result_of(*head) == expected);
        REQUIRE(worker->wait(kLimitS) == 0);
    }
    for (const Flags& way : {Flags{}, Flags{"--no-direct-feedback"}}) {
        auto head =
            scene.head(kJob + first_stage + way + Flags{"--stages", "3", "--no-local-stage"});
        auto first = scene.worker();
        auto second = scene.worker();
        auto third = scene.worker();
        REQUIRE(result_of(*head) == expected);
        REQUIRE(first->wait(kLimitS) == 0);
        REQUIRE(second->wait(kLimitS) == 0);
        REQUIRE(third->wait(kLimitS) == 0);
    }
    const Scene untied;
    auto refused = untied.head(kJob + first_stage);
    says(failure_of(*refused, 2), "has no tied embeddings");
}

TEST_CASE("ipc addresses work") {
    const Scene scene;
    auto alone = scene.head(kJob);
    const std::string expected = result_of(*alone);
    const std::string address = "ipc://" + scene.dir.string() + "/head";
    Process head(kBin + "/molink-generate",
                 scene.common + kJob + Flags{"--listen", address, "--stages", "2"});
    Process worker(kBin + "/molink-worker",
                   scene.common + Flags{"--join", address, "--listen",
                                        "ipc://" + scene.dir.string() + "/worker"});
    REQUIRE(result_of(head) == expected);
}

TEST_CASE("a killed worker ends the request with an error that names it") {
    TinyModelOptions model;
    model.context = 16384;
    const Scene scene(model);
    auto head = scene.head({"--prompt", "once upon a time", "--max-tokens", "16000", "--ignore-eos",
                            "--stages", "3", "--max-running", "1"});
    auto first = scene.worker({"--name", "survivor"});
    auto second = scene.worker({"--name", "victim"});
    REQUIRE(head->read_until("once upon a time", kLimitS));
    second->signal(SIGKILL);
    const std::string text = failure_of(*head, 1);
    REQUIRE(says(text, "node 'victim'"));
    REQUIRE(says(text, "was lost"));
}

TEST_CASE("a worker ends when its head is killed") {
    TinyModelOptions model;
    model.context = 16384;
    const Scene scene(model);
    auto head = scene.head({"--prompt", "once upon a time", "--max-tokens", "16000", "--ignore-eos",
                            "--stages", "2", "--max-running", "1"});
    auto worker = scene.worker();
    REQUIRE(head->read_until("once upon a time", kLimitS));
    head->signal(SIGKILL);
    REQUIRE(says(failure_of(*worker, 4), "was lost"));
}

TEST_CASE("the head waits for a frozen worker") {
    const Scene scene;
    auto alone = scene.head(kJob);
    const std::string expected = result_of(*alone);
    auto head = scene.head(kJob + Flags{"--stages", "2"});
    auto worker = scene.worker();
    worker->signal(SIGSTOP);
    REQUIRE(head->wait(2.0) == -1);
    worker->signal(SIGCONT);
    REQUIRE(result_of(*head) == expected);
}

TEST_CASE("random bytes on the open ports change nothing") {
    const Scene scene;
    auto alone = scene.head(kJob);
    const std::string expected = result_of(*alone);
    const int worker_port = molink::test::free_port();
    auto head = scene.head(kJob + Flags{"--stages", "2"});
    REQUIRE(head->wait(0.3) == -1);
    auto worker = scene.worker({"--listen", "tcp://127.0.0.1:" + std::to_string(worker_port)});
    Random random(4);
    for (int i = 0; i < 200; ++i) {
        std::string bytes(random.below(5000), '\0');
        for (char& byte : bytes) byte = static_cast<char>(random.next());
        // Some begin like ZeroMQ's greeting and continue with random bytes.
        if (i % 3 == 0) bytes.insert(0, std::string("\xff\0\0\0\0\0\0\0\x01\x7f", 10));
        molink::test::send_bytes(i % 2 == 0 ? scene.port : worker_port, bytes);
    }
    REQUIRE(result_of(*head) == expected);
}

TEST_CASE("a worker with another model, type or too little memory is told why") {
    const Scene scene;
    const Scene other([] {
        TinyModelOptions model;
        model.seed = 9;
        return model;
    }());
    auto head = scene.head(kJob + Flags{"--stages", "2"});
    std::vector<std::string> told;
    const auto refused = [&](const Flags& flags, const std::string& words) {
        Process worker(kBin + "/molink-worker", flags + Flags{"--join", scene.address});
        REQUIRE(says(failure_of(worker, 3), words));
        told.push_back(words);
    };
    refused(other.common, "a model with hash");
    refused(scene.common + Flags{"--weights", "q8_0"}, "weights as q8_0; the head has f32");
    refused(scene.common + Flags{"--kv", "f16"}, "a KV cache of f16; the head has f32");
    refused(scene.common + Flags{"--block-tokens", "64"},
            "KV blocks of 64 tokens; the head has 16 tokens");
    Flags small = scene.common;
    small.back() = "0.0001";
    refused(small, "a stage of one layer needs");
    auto worker = scene.worker();
    result_of(*head);
    for (const std::string& words : told) REQUIRE(says(head->errors(), words));
}

TEST_CASE("a worker without the head's KV type is refused, and both processes name the two types") {
    const Scene scene;
    auto head = scene.head(kJob + Flags{"--stages", "2", "--kv", "f16"});
    const std::string words = "has a KV cache of f32; the head has f16";
    auto plain = scene.worker();
    REQUIRE(says(failure_of(*plain, 3), words));
    auto told = scene.worker({"--kv", "f16"});
    result_of(*head);
    REQUIRE(says(head->errors(), "peer refused: node"));
    REQUIRE(says(head->errors(), words));
}

TEST_CASE("wrong addresses are refused with a reason") {
    const Scene scene;
    auto waiting = scene.head(kJob + Flags{"--stages", "2"});
    REQUIRE(waiting->wait(0.5) == -1);
    auto second = scene.head(kJob);
    REQUIRE(says(failure_of(*second, 2), "the address is in use"));
    Process open(kBin + "/molink-generate",
                 scene.common + kJob + Flags{"--listen", "tcp://0.0.0.0:0"});
    REQUIRE(says(failure_of(open, 2), "can be reached from other machines"));
    Process form(kBin + "/molink-generate", scene.common + kJob + Flags{"--listen", "localhost"});
    REQUIRE(says(failure_of(form, 2), "an address looks like"));
    Process nobody(
        kBin + "/molink-worker",
        scene.common + Flags{"--join-within", "1", "--join",
                             "tcp://127.0.0.1:" + std::to_string(molink::test::free_port())});
    REQUIRE(says(failure_of(nobody, 4), "no head answered at tcp://127.0.0.1"));
    Process missing(kBin + "/molink-generate",
                    scene.common + kJob + Flags{"--stages", "2", "--wait", "1"});
    REQUIRE(says(failure_of(missing, 3), "1 of 2 nodes are here; missing 1"));
}

TEST_CASE("wrong prompts are refused with the numbers") {
    const Scene scene;
    auto none = scene.head({});
    REQUIRE(says(failure_of(*none, 2), "--prompt"));
    auto both = scene.head({"--prompt", "a", "--prompt-ids", "1,2"});
    REQUIRE(says(failure_of(*both, 2), "give one of"));
    write_file(scene.dir / "empty.txt", "\n\n");
    auto empty = scene.head({"--prompts", (scene.dir / "empty.txt").string()});
    REQUIRE(says(failure_of(*empty, 2), "the file has no prompts"));
    auto longer = scene.head({"--prompt", std::string(700, 'x')});
    REQUIRE(says(failure_of(*longer, 1), "the context has room for 511"));
    auto outside = scene.head({"--prompt-ids", "5,99999"});
    REQUIRE(says(failure_of(*outside, 1), "prompt token 99999 is outside the vocabulary of 272"));
    auto odd = scene.head({"--prompt", "a", "--block-tokens", "17"});
    REQUIRE(says(failure_of(*odd, 2), "multiple of 16"));
}

TEST_CASE("broken models are refused before anything runs") {
    const Scene scene;
    const std::string config = read_file(scene.dir / "config.json");
    const std::string weights = read_file(scene.dir / "model.safetensors");
    const auto replaced = [&](const std::string& from, const std::string& to) {
        std::string text = config;
        const std::size_t at = text.find(from);
        REQUIRE(at != std::string::npos);
        return text.replace(at, from.size(), to);
    };
    const auto refused = [&](const std::string& words) {
        auto head = scene.head({"--prompt", "a"});
        head->wait(kLimitS);
        INFO(head->errors());
        REQUIRE(head->wait(1) != 0);
        REQUIRE(says(head->errors(), words));
    };
    write_file(scene.dir / "config.json", replaced("LlamaForCausalLM", "OracleForCausalLM"));
    refused("'OracleForCausalLM' is unknown; known: LlamaForCausalLM");
    write_file(scene.dir / "config.json", replaced("\"vocab_size\": 272", "\"vocab_size\": 200"));
    refused("200");
    write_file(scene.dir / "config.json",
               replaced("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 0"));
    refused("num_hidden_layers");
    write_file(scene.dir / "config.json", "{");
    refused("config.json");
    write_file(scene.dir / "config.json", config);
    write_file(scene.dir / "model.safetensors", weights.substr(0, weights.size() / 2));
    refused("model.safetensors");
    write_file(scene.dir / "model.safetensors", weights);
    auto head = scene.head(kJob);
    result_of(*head);
}
