// Tests molink-plan as a user starts it: from a cluster file, with wrong files and flags, and as a
// head that accepts real workers and dismisses them.
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using molink::test::Flags;
using molink::test::Process;

namespace {

const std::string kBin = MOLINK_BIN_DIR;
constexpr double kLimitS = 60;

bool says(const std::string& text, const std::string& words) {
    INFO(text);
    CHECK(text.find(words) != std::string::npos);
    return text.find(words) != std::string::npos;
}

const std::string kModel = R"({"layers": 8, "hidden": 1024, "context": 1024, "layer_mib": 100,)"
                           R"( "kv_layer_token_bytes": 4096})";

/// A cluster of a fast, a slower and a far too slow node.
std::string cluster(const std::string& model, const std::string& more = "") {
    return R"({"model": )" + model + R"(, "default_link": {"mbit_per_s": 1000, "delay_ms": 0.2},
        "nodes": [
            {"name": "a", "memory_gib": 2, "decode_layer_us": 1000, "prefill_row_layer_us": 100},
            {"name": "b", "memory_gib": 2, "decode_layer_us": 1500, "prefill_row_layer_us": 150},
            {"name": "c", "memory_gib": 2, "decode_layer_us": 90000}])" +
           more + "}";
}

struct Scene {
    TempDir dir;

    std::string file(const std::string& text) const {
        const std::string path = (dir.path() / "cluster.json").string();
        std::ofstream(path) << text;
        return path;
    }
    /// Plans the cluster. Returns what was printed, or the errors if `expected` is not 0.
    std::string plan(const std::string& text, const Flags& more = {}, int expected = 0) const {
        Flags flags{"--cluster", file(text)};
        flags.insert(flags.end(), more.begin(), more.end());
        Process process(kBin + "/molink-plan", flags);
        const int status = process.wait(kLimitS);
        INFO(process.errors());
        REQUIRE(status == expected);
        return expected == 0 ? process.output() : process.errors();
    }
};

}  // namespace

TEST_CASE("a cluster file becomes a table and JSON") {
    const Scene scene;
    const std::string table = scene.plan(cluster(kModel));
    REQUIRE(says(table, "left out 'c': with it the slowest stage takes"));
    for (const char* words : {"  -> b, delay 0.2 ms", "  -> head", "throughput", "TTFT", "TPOT",
                              "limited by", "500.0 MiB"}) {
        REQUIRE(says(table, words));
    }
    const std::string json = scene.plan(cluster(kModel), {"--json", "--objective", "latency"});
    REQUIRE(says(json, R"("objective": "latency")"));
    REQUIRE(says(json, R"("tokens_per_s": )"));
    REQUIRE(says(json, "round the ring instead of"));
    REQUIRE(says(table, "LM head     on 'b'"));
    const std::string even = scene.plan(cluster(kModel), {"--partitioner", "even"});
    REQUIRE(even.find("left out") == std::string::npos);
    const std::string slow =
        R"(, "links": [{"from": "a", "to": "b", "mbit_per_s": 0.001, "both_ways": true}])";
    REQUIRE(says(scene.plan(cluster(kModel, slow)), "left out 'b'"));
    REQUIRE(
        says(scene.plan(cluster(kModel), {"--prompt", "4000", "--output", "96"}), "KV memory of"));
}

TEST_CASE("the expected prompts change the split") {
    const Scene scene;
    const auto first = [&](const char* prompt, const char* output) {
        const std::string text = R"({"model": )" + kModel + R"(, "nodes": [
                {"name": "a", "memory_gib": 2, "decode_layer_us": 1000, "prefill_row_layer_us": 100,
                 "head_row_us": 4000},
                {"name": "b", "memory_gib": 2, "decode_layer_us": 1000, "prefill_row_layer_us": 100,
                 "head_row_us": 4000}]})";
        return scene.plan(text, {"--prompt", prompt, "--output", output});
    };
    // For answers the LM head takes the time of four layers. Prompts do not need it.
    REQUIRE(says(first("1", "500"), "0-5   600.0 MiB"));
    REQUIRE(says(first("1000", "10"), "0-3   400.0 MiB"));
}

TEST_CASE("a cluster file may describe layers that differ") {
    const Scene scene;
    const auto model = [](const std::string& layers) {
        return R"({"layers": )" + layers + R"(, "hidden": 1024, "context": 1024})";
    };
    const auto stages = [&](const std::string& layers) {
        const std::string text = scene.plan(cluster(model(layers)),
                                            {"--json", "--running", "4", "--partitioner", "even"});
        return nlohmann::json::parse(text, nullptr, false).at("stages");
    };
    const auto same = stages(R"([{"count": 8, "layer_mib": 100, "kv_layer_token_bytes": 4096}])");
    const auto number = nlohmann::json::parse(
        scene.plan(cluster(kModel), {"--json", "--running", "4", "--partitioner", "even"}));
    REQUIRE(same == number.at("stages"));
    const auto differ = stages(
        R"([{"count": 3, "layer_mib": 50, "kv_layer_token_bytes": 4096, "decode_cost": 0.5},
            {"count": 5, "layer_mib": 200, "kv_layer_token_bytes": 0, "state_mib": 1,
             "prefill_cost": 2}])");
    REQUIRE(differ.at(0).at("layers") == nlohmann::json({0, 2}));
    REQUIRE(differ.at(0).at("weight_bytes") == 150 << 20);
    REQUIRE(differ.at(0).at("kv_bytes") > 0);
    REQUIRE(differ.at(0).at("state_bytes") == 0);
    REQUIRE(differ.at(1).at("kv_bytes") == 0);
    REQUIRE(differ.at(1).at("state_bytes") == (3 * 4) << 20);
    REQUIRE(differ.at(0).at("decode_us") < same.at(0).at("decode_us"));
    REQUIRE(differ.at(1).at("slice_us") > same.at(1).at("slice_us"));
    const std::string table =
        scene.plan(cluster(model(R"([{"count": 8, "layer_mib": 10, "kv_layer_token_bytes": 64,)"
                                 R"( "state_mib": 2}])")));
    REQUIRE(says(table, "state       "));
    REQUIRE(says(scene.plan(cluster(model(R"([{"layer_mib": 1}])")), {}, 2),
                 "model.layers[0].kv_layer_token_bytes is missing"));
    REQUIRE(says(scene.plan(cluster(model(R"([{"count": 1e8, "layer_mib": 1,)"
                                          R"( "kv_layer_token_bytes": 1}])")),
                            {}, 2),
                 "model.layers[0] has 100000000 layers; at most 10000 are permitted"));
    REQUIRE(says(scene.plan(cluster(model(R"([{"layer_mib": 1, "kv_layer_token_bytes": 1,)"
                                          R"( "kind": "dense"}])")),
                            {}, 2),
                 "model.layers[0] has 'kind'; known are"));
}

TEST_CASE("the LM head's keys have new names, and the old ones still work") {
    const Scene scene;
    const auto plan = [&](const std::string& mib, const std::string& us, int expected = 0) {
        return scene.plan(R"({"model": {"layers": 8, "hidden": 64, "context": 1024,
            "layer_mib": 100, "kv_layer_token_bytes": 4096, )" +
                              mib + R"(},
            "nodes": [{"name": "a", "memory_gib": 4, "decode_layer_us": 100, )" +
                              us + "}]}",
                          {"--json"}, expected);
    };
    const std::string now = plan(R"("lm_head_mib": 300)", R"("lm_head_row_us": 4000)");
    REQUIRE(plan(R"("head_mib": 300)", R"("head_row_us": 4000)") == now);
    REQUIRE(now != plan(R"("lm_head_mib": 301)", R"("lm_head_row_us": 4000)"));
    REQUIRE(now != plan(R"("lm_head_mib": 300)", R"("lm_head_row_us": 4001)"));
    REQUIRE(says(plan(R"("lm_head_mib": 300, "head_mib": 300)", R"("head_row_us": 1)", 2),
                 "model has both 'lm_head_mib' and 'head_mib'; they are one value"));
}

TEST_CASE("the time of a link follows from the bytes of the activations") {
    const Scene scene;
    REQUIRE(write_tiny_model(scene.dir.path(), {}).ok());
    const auto link_us = [&](const std::string& model, const char* wire, const std::string& what) {
        const std::string text =
            scene.plan(cluster(model), {"--json", "--partitioner", "even", "--wire", wire});
        const auto plan = nlohmann::json::parse(text, nullptr, false);
        REQUIRE(plan.at("stages").size() == 3);
        return plan.at("stages").at(0).at("link").at(what).get<double>();
    };
    const std::string folder = R"({"folder": ")" + scene.dir.string() + R"("})";
    for (const auto& [model, hidden] : {std::pair(kModel, 1024), std::pair(folder, 64)}) {
        for (const char* what : {"decode_us", "slice_us"}) {
            INFO(model << " " << what);
            const double f32 = link_us(model, "f32", what);
            REQUIRE(f32 > 0);
            CHECK(link_us(model, "f16", what) == Approx(f32 / 2));
            CHECK(link_us(model, "bf16", what) == Approx(f32 / 2));
            // One byte for each value, a scale of four bytes for 64 values, and four exact values
            // of a row with their places, six bytes each.
            CHECK(link_us(model, "int8", what) ==
                  Approx(f32 * (hidden + hidden / 64 * 4 + 4 * 6) / (hidden * 4)));
        }
    }
    REQUIRE(says(scene.plan(cluster(kModel), {"--wire", "q8_0"}, 2),
                 "--wire is 'q8_0'; f32, f16, bf16 and int8 are permitted"));
    for (const char* program : {"/molink-plan", "/molink-serve", "/molink-generate"}) {
        Process help(kBin + program, {"--help"});
        REQUIRE(help.wait(kLimitS) == 0);
        REQUIRE(says(help.output(), "f32, f16, bf16 or int8"));
    }
}

TEST_CASE("the LM head of a tied model may be planned on the first stage") {
    const Scene scene;
    const std::string tied = R"({"layers": 8, "hidden": 1024, "context": 1024, "layer_mib": 100,)"
                             R"( "kv_layer_token_bytes": 4096, "head_mib": 300, "tied": true})";
    const std::string table = scene.plan(cluster(tied), {"--lm-head", "first"});
    REQUIRE(says(table, "LM head     on 'a'"));
    REQUIRE(says(table, "  -> a, delay 0.2 ms"));
    const std::string apart =
        R"(, "head_without_stage": true, "fixed_order": true,)"
        R"( "links": [{"from": "b", "to": "a", "mbit_per_s": 900, "delay_ms": 0.2}])";
    REQUIRE(says(scene.plan(cluster(tied, apart), {"--lm-head", "first"}),
                 "  -> a, delay 0.2 ms, 900.0 Mbit/s"));
    const std::string json = scene.plan(cluster(tied), {"--lm-head", "first", "--json"});
    const std::size_t first = json.find(R"("lm_head": true)");
    REQUIRE(first < json.find(R"("lm_head": false)"));
    REQUIRE(says(scene.plan(cluster(tied), {"--lm-head", "last"}), "LM head     on 'b'"));
    REQUIRE(says(scene.plan(cluster(kModel), {"--lm-head", "first"}, 2), "are not tied"));
    REQUIRE(says(scene.plan(cluster(tied), {"--lm-head", "middle"}, 2),
                 "--lm-head: LM head 'middle'; auto, last and first are permitted"));
}

TEST_CASE("a model folder needs no weights") {
    const Scene scene;
    REQUIRE(write_tiny_model(scene.dir.path(), {}).ok());
    std::filesystem::remove(scene.dir.path() / "model.safetensors");
    const std::string folder = R"({"folder": ")" + scene.dir.string() + R"("})";
    REQUIRE(says(scene.plan(cluster(folder)), "throughput"));
}

TEST_CASE("a wrong cluster file is refused with the place and the reason") {
    const Scene scene;
    const auto refused = [&](const std::string& text, const std::string& words, int code = 2) {
        return says(scene.plan(text, {}, code), words);
    };
    REQUIRE(refused("{", "not valid JSON"));
    REQUIRE(refused("[]", "the cluster is not an object"));
    REQUIRE(refused(cluster("{}"), "model.layers is missing"));
    REQUIRE(refused(cluster(R"({"folder": "/nowhere"})"), "/nowhere/config.json"));
    REQUIRE(refused(R"({"model": )" + kModel + "}", "nodes is missing"));
    REQUIRE(refused(R"({"model": )" + kModel + R"(, "nodes": [{"name": "a", "memory_gib": -1}]})",
                    "nodes[0].memory_gib is -1; a number from 0 to 1e15 is needed"));
    REQUIRE(refused(cluster(kModel, R"(, "lins": [])"), "the cluster has 'lins'; known are"));
    REQUIRE(refused(cluster(kModel, R"(, "links": [{"from": "a", "to": "z"}])"),
                    "links[0].to is 'z', which is not a node"));
    std::string small = cluster(kModel);
    for (std::size_t at; (at = small.find("gib\": 2")) != std::string::npos;) {
        small.replace(at, 7, "gib\": 0.2");
    }
    REQUIRE(refused(small, "no split of 8 layers fits over 3 nodes", 1));
    REQUIRE(says(scene.plan(cluster(kModel), {"--objective", "speed"}, 2),
                 "throughput and latency are permitted"));
    REQUIRE(says(scene.plan(cluster(kModel), {"--partitioner", "best"}, 2),
                 "even and cost are permitted"));
    REQUIRE(says(scene.plan(cluster(kModel), {"--prompt", "0"}, 2), "1 to 1000000"));
    Process missing(kBin + "/molink-plan", {"--cluster", "/nowhere/cluster.json"});
    REQUIRE(missing.wait(kLimitS) == 2);
    REQUIRE(says(missing.errors(), "/nowhere/cluster.json: cannot be read"));
}

TEST_CASE("real workers are measured, used for a plan and dismissed") {
    const Scene scene;
    REQUIRE(write_tiny_model(scene.dir.path(), {}).ok());
    const std::string address = "tcp://127.0.0.1:" + std::to_string(molink::test::free_port());
    const Flags common{"--model", scene.dir.string(), "--threads", "1", "--memory-gib", "0.1"};
    const auto with = [&](Flags more) {
        more.insert(more.begin(), common.begin(), common.end());
        return more;
    };
    Process plan(kBin + "/molink-plan", with({"--listen", address, "--nodes", "3"}));
    Process first(kBin + "/molink-worker", with({"--join", address, "--name", "first", "--layers",
                                                 "2-3", "--give-up-after", "0"}));
    Process second(kBin + "/molink-worker", with({"--join", address, "--name", "second", "--layers",
                                                  "4-5", "--give-up-after", "0"}));
    const int status = plan.wait(kLimitS);
    INFO(plan.errors());
    REQUIRE(status == 0);
    REQUIRE(says(plan.output(), "  -> first"));
    REQUIRE(says(plan.output(), "  -> second"));
    REQUIRE(says(plan.output(), "tokens/s"));
    for (Process* worker : {&first, &second}) {
        REQUIRE(worker->wait(kLimitS) == 0);
        REQUIRE(says(worker->errors(), "the head only wanted a plan; nothing was loaded"));
        REQUIRE(worker->errors().find("serves layers") == std::string::npos);
    }
    Process lonely(kBin + "/molink-plan", with({"--nodes", "2", "--wait", "0.2"}));
    REQUIRE(lonely.wait(kLimitS) == 3);
    REQUIRE(says(lonely.errors(), "1 of 2 nodes are here; missing 1"));
}
