// Model files that are damaged, truncated or replaced on one node of a cluster: the tensor is
// named, no process ends by a signal, and no answer is computed with wrong weights.
#include <filesystem>
#include <fstream>
#include <string>

#include <molink/engine.h>
#include <molink/worker.h>

#include "loader/checkpoint.h"
#include "loader/model_hash.h"
#include "support/catch.h"
#include "support/local_cluster.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;

namespace {

constexpr const char* kTensor = "model.layers.4.mlp.up_proj.weight";
constexpr std::int64_t kLimitUs = 60'000'000;

/// Two copies of a model of 14 MB, and the options of a head and of a worker.
struct Scene {
    Scene() {
        TinyModelOptions model;
        model.hidden = 256;
        model.ffn = 512;
        REQUIRE(write_tiny_model(head_dir.path(), model).ok());
        restore();
    }

    void restore() const {
        for (const char* name : {"config.json", "generation_config.json", "model.safetensors"}) {
            std::filesystem::copy_file(head_dir / name, worker_dir / name,
                                       std::filesystem::copy_options::overwrite_existing);
        }
    }

    /// Overwrites 40 KB of a tensor with zeros.
    static void damage(const std::filesystem::path& dir) {
        const StoredTensor tensor = Checkpoint::open(dir)->tensor(kTensor).value();
        std::fstream file(dir / "model.safetensors",
                          std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(tensor.offset + 50'000));
        file << std::string(40'000, '\0');
    }

    static void truncate(const std::filesystem::path& dir) {
        std::filesystem::resize_file(dir / "model.safetensors", 400'000);
    }

    std::unique_ptr<Engine> head(std::int32_t stages = 2) const {
        EngineOptions options;
        options.model_dir = head_dir.string();
        options.stages = stages;
        options.threads = 1;
        options.memory_bytes = 100 << 20;
        options.listen = address;
        auto engine = Engine::open(std::move(options));
        INFO(engine.status().to_string());
        REQUIRE(engine.has_value());
        return std::move(*engine);
    }

    std::unique_ptr<Worker> worker(const std::string& name = "w") const {
        WorkerOptions options;
        options.model_dir = worker_dir.string();
        options.name = name;
        options.join = address;
        options.threads = 1;
        options.memory_bytes = 100 << 20;
        auto worker = Worker::open(std::move(options));
        INFO(worker.status().to_string());
        REQUIRE(worker.has_value());
        return std::move(*worker);
    }

    TempDir head_dir;
    TempDir worker_dir;
    std::string address = "tcp://127.0.0.1:" + std::to_string(test::free_port());
};

void check_has(const std::string& text, const std::vector<std::string>& words) {
    INFO(text);
    for (const std::string& word : words) {
        INFO(word);
        CHECK(text.find(word) != std::string::npos);
    }
}

/// Returns what went wrong, once the head shows it: the worker, which is told by a message, may
/// have ended a moment before.
std::string last_error(Engine& engine) {
    constexpr std::int64_t kTurnUs = 20'000;
    for (std::int64_t waited = 0; waited < kLimitUs; waited += kTurnUs) {
        std::string error = engine.cluster().last_error;
        if (!error.empty()) return error;
        (void)engine.wait_ready(kTurnUs);
    }
    return {};
}

std::vector<Token> answer(Engine& engine) {
    GenerateRequest request;
    request.prompt_tokens = {84, 104, 101, 32, 113, 117, 105, 99, 107};
    request.max_tokens = 24;
    request.ignore_eos = true;
    return test::Requests(engine).run(std::move(request)).tokens;
}

}  // namespace

TEST_CASE("a worker with a damaged tensor never serves, and the tensor is named") {
    const Scene scene;
    std::vector<Token> expected;
    {
        const auto alone = scene.head(1);
        REQUIRE(alone->wait_ready(kLimitUs).ok());
        expected = answer(*alone);
    }
    Scene::damage(scene.worker_dir.path());
    REQUIRE(model_hash(scene.head_dir.path()).value() ==
            model_hash(scene.worker_dir.path()).value());
    const auto engine = scene.head();
    const auto damaged = scene.worker("damaged");
    const Status outcome = damaged->wait(kLimitUs);
    check_has(outcome.message(), {kTensor, "node 'damaged'"});
    check_has(last_error(*engine), {kTensor, "node 'damaged'", scene.head_dir.string()});
    CHECK(engine->cluster().state == EngineState::waiting);
    scene.restore();
    const auto sound = scene.worker("sound");
    const Status ready = engine->wait_ready(kLimitUs);
    INFO(ready.to_string());
    REQUIRE(ready.ok());
    CHECK(answer(*engine) == expected);
}

TEST_CASE("a worker whose file is truncated before it loads says so") {
    const Scene scene;
    const auto worker = scene.worker("short");
    Scene::truncate(scene.worker_dir.path());
    const auto engine = scene.head();
    const Status outcome = worker->wait(kLimitUs);
    check_has(outcome.message(), {"model.safetensors", "400000 bytes", "tensor '"});
    check_has(last_error(*engine), {"node 'short'", "model.safetensors"});
}

TEST_CASE("a head whose file is replaced before it loads says so") {
    const Scene scene;
    const auto engine = scene.head();
    std::filesystem::copy_file(scene.head_dir / "model.safetensors", scene.head_dir / "copy");
    std::filesystem::rename(scene.head_dir / "copy", scene.head_dir / "model.safetensors");
    const auto worker = scene.worker();
    const Status ready = engine->wait_ready(kLimitUs);
    CHECK(ready.code() == StatusCode::data_loss);
    check_has(ready.message(), {"model.safetensors", "took its place", "tensor '"});
}
