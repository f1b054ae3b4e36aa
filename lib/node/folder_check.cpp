// Compares what stages report with the head's model folder. The manifest answers at once for
// tensors that were loaded before; a thread reads the others, beginning when stages are assigned,
// so that the head reads while the nodes load. A value of the manifest never decides alone that a
// node is wrong: the tensor is read again first, because the manifest may be out of date.
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/foreign.h"
#include "base/thread_start.h"
#include "loader/tensor_manifest.h"
#include "node/tensor_check.h"

namespace molink {
namespace {

/// What is known of a tensor of the head's model.
struct KnownTensor {
    TensorRef ref;
    std::optional<TensorHash> now;       // as read by this process
    std::optional<TensorHash> recorded;  // in the manifest when this process began
    Status unreadable;
    bool queued = false;

    bool known() const { return now || recorded || !unreadable.ok(); }
};

class FolderCheck final : public TensorCheck {
public:
    explicit FolderCheck(FolderCheckOptions options) : options_(std::move(options)) {
        if (const auto folder = TensorManifest::folder()) {
            manifest_.emplace(*folder, options_.model_hash);
            read_manifest();
        }
        thread_ = std::thread([this] { run(); });
    }

    ~FolderCheck() override {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        signal_.notify_all();
        thread_.join();
    }

    void expect(const ModelPart& part) override {
        const std::lock_guard lock(mutex_);
        for (const TensorRef& ref : part_tensors(options_.model->described, part)) {
            KnownTensor& tensor = entry(ref);
            if (!tensor.known()) enqueue(tensor);
        }
    }

    TensorVerdict judge(const ModelPart& part, std::span<const LoadedTensor> tensors,
                        const std::string& node, bool own) override;

private:
    void read_manifest();
    void write_manifest(const TensorManifest::Hashes& hashes);
    KnownTensor& entry(const TensorRef& ref);
    void enqueue(KnownTensor& tensor);
    TensorVerdict learn(std::span<const LoadedTensor> tensors);
    TensorVerdict compare(const LoadedTensor& reported, KnownTensor& known,
                          const std::string& node);
    std::string folder() const { return options_.model->weights->where(); }
    std::string manifest_name() const { return manifest_ ? manifest_->file().string() : ""; }
    TensorManifest::Hashes hashes() const;
    void run();
    void read_next(std::unique_lock<std::mutex>& lock);

    FolderCheckOptions options_;
    std::optional<TensorManifest> manifest_;

    std::mutex mutex_;
    std::condition_variable signal_;
    std::map<std::string, KnownTensor> known_;  // by TensorRef::text(); under mutex_
    std::deque<std::string> queue_;             // keys of known_; under mutex_
    bool reading_ = false;                      // under mutex_
    bool unsaved_ = false;                      // under mutex_
    bool stopping_ = false;                     // under mutex_
    std::thread thread_;
};

void FolderCheck::read_manifest() {
    const auto hashes = manifest_->read();
    if (!hashes) {
        options_.log(LogLevel::warning, "the manifest is not used and written anew: {}",
                     hashes.error().message());
        return;
    }
    for (const auto& [name, hash] : *hashes) known_[name].recorded = hash;
}

KnownTensor& FolderCheck::entry(const TensorRef& ref) {
    KnownTensor& tensor = known_[ref.text()];
    tensor.ref = ref;
    return tensor;
}

void FolderCheck::enqueue(KnownTensor& tensor) {
    if (tensor.queued) return;
    tensor.queued = true;
    queue_.push_back(tensor.ref.text());
    signal_.notify_all();
}

/// The head's own stage has read these tensors, so nobody needs to read them again.
TensorVerdict FolderCheck::learn(std::span<const LoadedTensor> tensors) {
    for (const LoadedTensor& loaded : tensors) {
        KnownTensor& tensor = known_[loaded.text()];
        if (tensor.recorded && *tensor.recorded != loaded.hash) {
            return {TensorVerdict::Kind::broken,
                    make_error(StatusCode::data_loss,
                               "tensor '{}' of {} has the hash {} now, but {} in {}: the file has "
                               "changed since. Restore it, or remove the manifest if that was "
                               "intended",
                               loaded.text(), folder(), loaded.hash.text(), tensor.recorded->text(),
                               manifest_name())};
        }
        unsaved_ = unsaved_ || !tensor.recorded;
        tensor.now = loaded.hash;
    }
    signal_.notify_all();
    return {TensorVerdict::Kind::right, {}};
}

TensorVerdict FolderCheck::compare(const LoadedTensor& reported, KnownTensor& known,
                                   const std::string& node) {
    const TensorHash expected = known.now ? *known.now : *known.recorded;
    const bool changed = known.now && known.recorded && *known.now != *known.recorded;
    if (reported.hash == expected && !changed) return {TensorVerdict::Kind::right, {}};
    if (!known.now) {
        enqueue(known);
        return {TensorVerdict::Kind::waits, {}};
    }
    if (changed) {
        return {TensorVerdict::Kind::broken,
                make_error(StatusCode::data_loss,
                           "tensor '{}' of {} has the hash {} now, but {} in {}; node '{}' has {}. "
                           "Restore the file that is wrong, or remove the manifest",
                           reported.text(), folder(), known.now->text(), known.recorded->text(),
                           manifest_name(), node, reported.hash.text())};
    }
    return {TensorVerdict::Kind::wrong,
            make_error(StatusCode::data_loss,
                       "it has loaded another tensor '{}' than the head has: its hash is {} on "
                       "node '{}', and {} in the head's folder {}; one of the two files is damaged",
                       reported.text(), reported.hash.text(), node, expected.text(), folder())};
}

TensorVerdict FolderCheck::judge(const ModelPart& part, std::span<const LoadedTensor> tensors,
                                 const std::string& node, bool own) {
    const std::lock_guard lock(mutex_);
    if (own) return learn(tensors);
    if (!queue_.empty() || reading_) return {};
    std::map<std::string, const LoadedTensor*> reported;
    for (const LoadedTensor& tensor : tensors) reported.emplace(tensor.text(), &tensor);
    for (const TensorRef& ref : part_tensors(options_.model->described, part)) {
        KnownTensor& known = entry(ref);
        if (!known.unreadable.ok()) return {TensorVerdict::Kind::broken, known.unreadable};
        const auto found = reported.find(ref.text());
        if (found == reported.end()) {
            return {TensorVerdict::Kind::wrong,
                    make_error(StatusCode::data_loss,
                               "it has not said what it has loaded as tensor '{}'", ref.text())};
        }
        if (!known.known()) enqueue(known);
        if (known.queued) continue;
        TensorVerdict verdict = compare(*found->second, known, node);
        if (!verdict.status.ok()) return verdict;
    }
    if (!queue_.empty()) return {};
    return {TensorVerdict::Kind::right, {}};
}

TensorManifest::Hashes FolderCheck::hashes() const {
    TensorManifest::Hashes all;
    for (const auto& [name, tensor] : known_) {
        if (tensor.recorded) {
            all.emplace(name, *tensor.recorded);
        } else if (tensor.now) {
            all.emplace(name, *tensor.now);
        }
    }
    return all;
}

void FolderCheck::write_manifest(const TensorManifest::Hashes& hashes) {
    if (!manifest_) return;
    const Status written = manifest_->write(hashes);
    if (written.ok()) return;
    options_.log(LogLevel::warning, "the manifest is not kept: {}", written.message());
    const std::lock_guard lock(mutex_);
    manifest_.reset();
}

void FolderCheck::read_next(std::unique_lock<std::mutex>& lock) {
    const std::string name = queue_.front();
    queue_.pop_front();
    const TensorRef ref = known_[name].ref;
    reading_ = true;
    lock.unlock();
    const auto go_on = [this] {
        const std::lock_guard guard(mutex_);
        return !stopping_;
    };
    const WeightSource& source = *options_.model->weights;
    const auto hash = call_foreign("read " + name, [&]() -> Result<TensorHash> {
        MOLINK_ASSIGN_OR_RETURN(const auto tensor, source.find(ref));
        return hash_tensor(source, tensor, go_on);
    });
    lock.lock();
    reading_ = false;
    KnownTensor& known = known_[name];
    known.queued = false;
    if (hash) {
        known.now = *hash;
        unsaved_ = unsaved_ || !known.recorded;
    } else {
        known.unreadable = hash.error().with_context("the head checks its own files");
    }
}

void FolderCheck::run() {
    begin_thread("molink-check");
    std::unique_lock lock(mutex_);
    while (true) {
        signal_.wait(lock, [&] { return stopping_ || unsaved_ || !queue_.empty(); });
        if (!stopping_ && !queue_.empty()) {
            read_next(lock);
            if (queue_.empty()) options_.notify();
            continue;
        }
        if (unsaved_) {
            unsaved_ = false;
            const TensorManifest::Hashes all = hashes();
            lock.unlock();
            write_manifest(all);
            lock.lock();
            continue;
        }
        if (stopping_) return;
    }
}

}  // namespace

std::unique_ptr<TensorCheck> make_folder_check(FolderCheckOptions options) {
    return std::make_unique<FolderCheck>(std::move(options));
}

}  // namespace molink
