// Tests that results do not depend on what else the engine does: prefix hits, preemption and
// cancelled neighbours, with every sampling option, on a real model with hashes of all logits.
#include <set>

#include "support/catch.h"
#include "support/local_cluster.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using namespace molink::test;

namespace {

constexpr std::int32_t kPrompt = 70;
constexpr std::int32_t kOutput = 40;

std::vector<Token> prompt_of(std::int32_t index) {
    std::vector<Token> prompt;
    for (std::int32_t i = 0; i < kPrompt + index; ++i) {
        prompt.push_back((i * i * 7 + i * 13 + index * 31 + 5) % 256);
    }
    return prompt;
}

GenerateRequest request_of(std::int32_t index, const SamplingParams& sampling) {
    GenerateRequest request;
    request.prompt_tokens = prompt_of(index);
    request.max_tokens = kOutput;
    request.ignore_eos = true;
    request.hash_logits = true;
    request.sampling = sampling;
    request.sampling.seed = 77 + static_cast<std::uint64_t>(index);
    return request;
}

/// Returns a greedy request, and requests that use every option at least once.
std::vector<GenerateRequest> kinds() {
    std::vector<GenerateRequest> all(1, request_of(0, {}));
    const auto add = [&](auto change) {
        GenerateRequest request = request_of(0, {});
        request.sampling.temperature = 0.9f;
        change(request);
        all.push_back(request);
    };
    add([](GenerateRequest& r) { r.sampling.top_k = 20; });
    add([](GenerateRequest& r) { r.sampling.top_p = 0.7f; });
    add([](GenerateRequest& r) { r.sampling.min_p = 0.2f; });
    add([](GenerateRequest& r) { r.sampling.repetition_penalty = 1.4f; });
    add([](GenerateRequest& r) {
        r.sampling.presence_penalty = 1.5f;
        r.sampling.frequency_penalty = 0.7f;
    });
    add([](GenerateRequest& r) {
        r.sampling.logit_bias = {{3, 4.0f}, {9, -100.0f}};
        r.logprobs = 5;
    });
    add([](GenerateRequest& r) {
        r.ignore_eos = false;
        r.min_tokens = 30;
        r.stop_tokens = {1, 2, 4, 8, 16, 32, 64, 128};
    });
    return all;
}

/// Compares tokens, log-probabilities and the hashes of all positions that were computed.
void check_equal(const Completion& got, const Completion& expected) {
    REQUIRE(got.tokens == expected.tokens);
    REQUIRE(got.logprobs == expected.logprobs);
    REQUIRE(got.reason == expected.reason);
    REQUIRE(got.hashes.size() == expected.hashes.size());
    for (std::size_t i = 0; i < got.hashes.size(); ++i) {
        INFO("position " << i);
        if (static_cast<std::int32_t>(i) < got.cached_tokens && got.hashes[i] == 0) continue;
        REQUIRE(got.hashes[i] == expected.hashes[i]);
    }
}

struct Models {
    TempDir dir;
    Models() { REQUIRE(write_tiny_model(dir.path()).ok()); }
    LocalClusterOptions options(std::int32_t nodes) const {
        LocalClusterOptions options;
        options.model_dir = dir.string();
        options.nodes = nodes;
        options.engine = [](EngineOptions& engine) { engine.max_slice_tokens = 16; };
        return options;
    }
};

/// Returns the result of each kind alone and without a cache.
std::vector<Completion> expected_of(const Models& models) {
    LocalClusterOptions options = models.options(1);
    options.engine = [](EngineOptions& engine) { engine.prefix_cache = false; };
    LocalCluster cluster(options);
    Requests requests(cluster.engine());
    std::vector<Completion> expected;
    for (const GenerateRequest& kind : kinds()) expected.push_back(requests.run(kind));
    return expected;
}

/// Returns memory for `wanted` KV blocks, or a few more, on one node.
std::int64_t memory_for(const Models& models, std::int64_t wanted) {
    for (std::int64_t memory = 1 << 20; memory < 64 << 20; memory += memory / 64) {
        LocalClusterOptions options = models.options(1);
        options.each = [memory](NodeOptions& node) { node.memory_bytes = memory; };
        try {
            LocalCluster cluster(options);
            if (cluster.engine().metrics().kv_blocks_total >= wanted) return memory;
        } catch (const std::runtime_error&) {
            continue;
        }
    }
    FAIL("no amount of memory gives " << wanted << " blocks");
    return 0;
}

}  // namespace

TEST_CASE("a prefix hit changes no bit, whatever the sampling") {
    const Models models;
    const std::vector<Completion> expected = expected_of(models);
    REQUIRE(std::set<Token>(expected[0].tokens.begin(), expected[0].tokens.end()).size() >= 16);
    for (std::int32_t nodes : {1, 3}) {
        LocalCluster cluster(models.options(nodes));
        Requests requests(cluster.engine());
        const std::vector<GenerateRequest> all = kinds();
        for (std::size_t i = 0; i < all.size(); ++i) {
            INFO("nodes " << nodes << ", kind " << i);
            const Completion got = requests.run(all[i]);
            REQUIRE(got.cached_tokens == (i == 0 ? 0 : 64));
            check_equal(got, expected[i]);
        }
        REQUIRE(cluster.engine().metrics().prefix_hits == all.size() - 1);
    }
}

TEST_CASE("a conversation continues from the cache of prompt and output") {
    const Models models;
    LocalCluster cluster(models.options(2));
    Requests requests(cluster.engine());
    const Completion first = requests.run(request_of(0, {}));
    GenerateRequest next = request_of(0, {});
    next.prompt_tokens.insert(next.prompt_tokens.end(), first.tokens.begin(), first.tokens.end());
    next.prompt_tokens.push_back(7);
    const Completion second = requests.run(next);
    REQUIRE(second.cached_tokens == 96);  // of 111; the last block is not full
    LocalClusterOptions plain = models.options(1);
    plain.engine = [](EngineOptions& engine) { engine.prefix_cache = false; };
    LocalCluster alone(plain);
    check_equal(second, Requests(alone.engine()).run(next));
}

TEST_CASE("preemption changes no bit, whatever the sampling") {
    const Models models;
    const std::vector<Completion> expected = expected_of(models);
    const std::int64_t memory = memory_for(models, 18);
    for (bool cache : {true, false}) {
        LocalClusterOptions options = models.options(1);
        options.each = [memory](NodeOptions& node) { node.memory_bytes = memory; };
        options.engine = [cache](EngineOptions& engine) {
            engine.prefix_cache = cache;
            engine.max_slice_tokens = 16;
            engine.scheduler = make_depth_scheduler();  // it admits early
        };
        LocalCluster cluster(options);
        Requests requests(cluster.engine());
        std::vector<RequestId> ids;
        for (const GenerateRequest& kind : kinds()) ids.push_back(requests.submit(kind));
        for (std::int32_t i = 1; i < 6; ++i) requests.submit(request_of(i, {}));
        for (std::size_t i = 0; i < ids.size(); ++i) {
            INFO("cache " << cache << ", kind " << i);
            check_equal(requests.wait(ids[i]).front(), expected[i]);
        }
        REQUIRE(cluster.engine().metrics().preemptions > 0);
    }
}

TEST_CASE("neighbours that are cancelled at any time change nothing") {
    const Models models;
    const std::vector<Completion> expected = expected_of(models);
    const std::vector<GenerateRequest> all = kinds();
    LocalCluster cluster(models.options(3));
    Engine& engine = cluster.engine();
    Requests requests(engine);
    for (std::size_t i = 0; i < all.size(); ++i) {
        std::vector<RequestId> neighbours;
        for (std::int32_t n = 1; n < 8; ++n) {
            neighbours.push_back(requests.submit(request_of(n, {})));
            if (n % 3 == 0) engine.cancel(neighbours.back());
        }
        const RequestId id = requests.submit(all[i], [&](const RequestEvent& event) {
            if (event.tokens.empty() || neighbours.empty()) return;
            engine.cancel(neighbours.back());
            neighbours.pop_back();
        });
        INFO("kind " << i);
        check_equal(requests.wait(id).front(), expected[i]);
    }
}

TEST_CASE("several completions of one prompt depend only on their seeds") {
    const Models models;
    LocalCluster cluster(models.options(2));
    Requests requests(cluster.engine());
    GenerateRequest request = request_of(0, {});
    request.hash_logits = false;
    request.sampling.temperature = 1.2f;
    const Completion alone = requests.run(request);
    request.n = 4;
    const auto together = requests.wait(requests.submit(request));
    const auto again = requests.wait(requests.submit(request));
    REQUIRE(together.size() == 4);
    REQUIRE(together[0].tokens == alone.tokens);
    for (std::size_t i = 0; i < 4; ++i) {
        REQUIRE(together[i].tokens == again[i].tokens);
        for (std::size_t j = 0; j < i; ++j) REQUIRE(together[i].tokens != together[j].tokens);
    }
}
