// What a stage has loaded is compared with the head's files before it serves: on the head's folder,
// and in a cluster.
#include "node/tensor_check.h"

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "loader/model_hash.h"
#include "loader/tensor_manifest.h"
#include "support/catch.h"
#include "support/cluster_fixture.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;
using test::ClusterFixture;
using test::FoldWorker;
using Kind = TensorVerdict::Kind;

namespace {

constexpr const char* kTensor = "model.layers.3.mlp.up_proj.weight";
const ModelPart kPart{{2, 5}, false, true};

/// Lets manifests be in a folder of the test.
class CacheFolder {
public:
    CacheFolder() { ::setenv("MOLINK_CACHE_DIR", dir.string().c_str(), 1); }
    ~CacheFolder() { ::setenv("MOLINK_CACHE_DIR", "", 1); }
    TempDir dir;
};

/// A check against a model on disk.
class FolderChecks {
public:
    explicit FolderChecks(const TempDir& dir) {
        model = open_model(dir.path()).value();
        hash = model_hash(dir.path()).value();
        FolderCheckOptions options;
        options.model = model;
        options.model_hash = hash;
        options.notify = [this] {
            const std::lock_guard lock(mutex_);
            ++notes_;
            changed_.notify_all();
        };
        check = make_folder_check(std::move(options));
    }

    /// Returns what a stage with this part loads from the folder.
    std::vector<LoadedTensor> loaded(const ModelPart& part) const {
        std::vector<LoadedTensor> tensors;
        for (const TensorRef& ref : part_tensors(model->described, part)) {
            const StoredTensor tensor = model->weights->find(ref).value();
            tensors.push_back({ref.name, 0, 0, hash_tensor(*model->weights, tensor).value()});
        }
        return tensors;
    }

    /// Judges until the answer is known.
    TensorVerdict judge(const ModelPart& part, const std::vector<LoadedTensor>& tensors,
                        bool own = false) {
        while (true) {
            std::unique_lock lock(mutex_);
            const int before = notes_;
            lock.unlock();
            TensorVerdict verdict = check->judge(part, tensors, "w", own);
            if (verdict.kind != Kind::waits) return verdict;
            lock.lock();
            REQUIRE(
                changed_.wait_for(lock, std::chrono::seconds(60), [&] { return notes_ > before; }));
        }
    }

    TensorManifest::Hashes manifest() const {
        return TensorManifest(*TensorManifest::folder(), hash).read().value();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int notes_ = 0;

public:
    std::shared_ptr<const OpenedModel> model;
    std::uint64_t hash = 0;
    std::unique_ptr<TensorCheck> check;  // last: its thread uses the members above
};

LoadedTensor& tensor_named(std::vector<LoadedTensor>& tensors, const std::string& name) {
    for (LoadedTensor& tensor : tensors) {
        if (tensor.name == name) return tensor;
    }
    FAIL("no tensor " << name);
    return tensors.front();
}

void check_text(const TensorVerdict& verdict, Kind kind, const std::vector<std::string>& texts) {
    INFO(verdict.status.to_string());
    CHECK(verdict.kind == kind);
    CHECK(verdict.status.code() == StatusCode::data_loss);
    for (const std::string& text : texts) {
        INFO(text);
        CHECK(verdict.status.message().find(text) != std::string::npos);
    }
}

/// Gives the answers that a test sets.
class SetCheck final : public TensorCheck {
public:
    void expect(const ModelPart& part) override { expected.push_back(part.layers); }
    TensorVerdict judge(const ModelPart&, std::span<const LoadedTensor> tensors,
                        const std::string& node, bool own) override {
        ++asked;
        CHECK_FALSE(tensors.empty());
        if (own) return {Kind::right, {}};
        return verdict.status.ok() ? verdict
                                   : TensorVerdict{verdict.kind, verdict.status.with_context(node)};
    }
    TensorVerdict verdict;
    std::vector<LayerRange> expected;
    int asked = 0;
};

}  // namespace

TEST_CASE("what the head's folder holds is right", "[tensor_check]") {
    const CacheFolder cache;
    const TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    {
        FolderChecks checks(dir);
        checks.check->expect(kPart);
        CHECK(checks.judge(kPart, checks.loaded(kPart)).kind == Kind::right);
    }
    FolderChecks again(dir);
    CHECK(again.manifest().size() == 3 * 9 + 2);
    CHECK(again.check->judge(kPart, again.loaded(kPart), "w", false).kind == Kind::right);
    const ModelPart more{{5, 6}, true, false};
    CHECK(again.judge(more, again.loaded(more)).kind == Kind::right);
}

TEST_CASE("a tensor that differs is named with both hashes", "[tensor_check]") {
    const CacheFolder cache;
    const TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    for (const bool known : {false, true}) {  // in the manifest
        FolderChecks checks(dir);
        std::vector<LoadedTensor> tensors = checks.loaded(kPart);
        LoadedTensor& tensor = tensor_named(tensors, kTensor);
        const std::string right = tensor.hash.text();
        tensor.hash = {1, 2};
        INFO("known " << known);
        check_text(checks.judge(kPart, tensors), Kind::wrong,
                   {kTensor, right, TensorHash{1, 2}.text(), "node 'w'", dir.string()});
        tensors.erase(tensors.begin() + (&tensor - tensors.data()));
        check_text(checks.judge(kPart, tensors), Kind::wrong, {kTensor, "has not said"});
    }
}

TEST_CASE("files that changed since the manifest was written are not trusted", "[tensor_check]") {
    const CacheFolder cache;
    const TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    std::string before;
    {
        FolderChecks checks(dir);
        std::vector<LoadedTensor> tensors = checks.loaded(kPart);
        before = tensor_named(tensors, kTensor).hash.text();
        CHECK(checks.judge(kPart, tensors, true).kind == Kind::right);  // of the head's own stage
    }
    FolderChecks checks(dir);
    CHECK(checks.manifest().size() == 3 * 9 + 2);
    // As if the samples of the model hash had missed the change: the same manifest is found.
    std::string bytes = read_file(dir / "model.safetensors");
    bytes[static_cast<std::size_t>(checks.model->weights->tensor(kTensor)->offset) + 5] ^= 1;
    write_file(dir / "model.safetensors", bytes);
    checks.model = open_model(dir.path()).value();
    FolderCheckOptions options;
    options.model = checks.model;
    options.model_hash = checks.hash;
    options.notify = [] {};
    const auto changed = make_folder_check(std::move(options));
    std::vector<LoadedTensor> tensors = checks.loaded(kPart);
    const std::string now = tensor_named(tensors, kTensor).hash.text();
    check_text(changed->judge(kPart, tensors, "head", true), Kind::broken,
               {kTensor, now, before, "tensors-", "remove the manifest"});
}

TEST_CASE("a node is not blamed for a manifest that is out of date", "[tensor_check]") {
    const CacheFolder cache;
    const TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    FolderChecks first(dir);
    const TensorManifest manifest(*TensorManifest::folder(), first.hash);
    REQUIRE(manifest.write({{kTensor, {7, 7}}}).ok());
    FolderChecks checks(dir);
    check_text(checks.judge(kPart, checks.loaded(kPart)), Kind::broken,
               {kTensor, TensorHash{7, 7}.text(), manifest.file().string(), "node 'w'"});
}

TEST_CASE("the head says when it cannot read its own files", "[tensor_check]") {
    const CacheFolder cache;
    const TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    FolderChecks checks(dir);
    const std::vector<LoadedTensor> tensors = checks.loaded(kPart);
    std::filesystem::resize_file(dir / "model.safetensors", 100'000);
    check_text(checks.judge(kPart, tensors), Kind::broken,
               {"the head checks its own files", "model.safetensors", "100000 bytes"});
}

TEST_CASE("a stage with damaged weights never serves", "[tensor_check]") {
    ClusterFixture cluster(2, true);
    FoldWorker& worker = cluster.add_worker("w");
    worker.stages[0]->set_damaged(true);
    REQUIRE(cluster.run_until([&] { return worker.node->over(); }));
    INFO(worker.node->outcome().to_string());
    CHECK(worker.node->outcome().message().find("another tensor") != std::string::npos);
    CHECK(cluster.head->pipeline().state() == EngineState::waiting);
    CHECK(cluster.head->view().last_error.find("node 'w'") != std::string::npos);
    cluster.add_worker("sound");
    REQUIRE(cluster.run_until_ready());
}

TEST_CASE("a pipeline waits until its stages are judged", "[tensor_check]") {
    SetCheck check;
    ClusterFixture cluster(2, true, LmHead::last, true, 1, &check);
    cluster.add_worker("w");
    REQUIRE_FALSE(cluster.run_until_ready());
    CHECK(check.expected.size() == 1);
    CHECK(check.asked > 2);
    CHECK(cluster.head->view().missing.find("reads its own files") != std::string::npos);
    check.verdict.kind = Kind::right;
    REQUIRE(cluster.run_until_ready());
}

TEST_CASE("a head that cannot trust its own files stops, and loses no node", "[tensor_check]") {
    SetCheck check;
    check.verdict = {Kind::broken, Status(StatusCode::data_loss, "the manifest differs")};
    ClusterFixture cluster(2, true, LmHead::last, true, 1, &check);
    cluster.add_worker("w");
    REQUIRE(cluster.run_until([&] { return !cluster.head->build_error().ok(); }));
    CHECK(cluster.head->build_error().code() == StatusCode::data_loss);
    CHECK(cluster.head->build_error().message().find("the manifest differs") != std::string::npos);
    CHECK(cluster.head->view().nodes.size() == 2);
}
