// The work of a stage with a real model. It holds what outlives an epoch: the backend and the
// opened weight files. A StageRunner, new for each epoch, holds the weights and the pages and runs
// the parts. An epoch with the same layers takes the weights over from the one before, so that a
// worker that lost its head serves the next one at once.
#include "stage/model_work.h"

#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"
#include "model/model.h"
#include "stage/stage_runner.h"

namespace molink {
namespace {

class ModelWork final : public StageWork {
public:
    ModelWork(const ModelWorkOptions& options, std::unique_ptr<Backend> backend,
              std::shared_ptr<const OpenedModel> opened)
        : options_(options), backend_(std::move(backend)), opened_(std::move(opened)) {}

    Result<Loaded> load(const StageConfig& config, const Progress& progress) override {
        const ModelPart part{config.layers, config.has_embedding(), config.has_lm_head()};
        const ModelBounds bounds{config.max_rows, config.max_context, config.max_sequences,
                                 options_.block_tokens};
        std::unique_ptr<Model> model;
        if (sound_ && part == part_ && bounds == bounds_) model = runner_->take_model();
        unload();
        if (model == nullptr) {
            MOLINK_ASSIGN_OR_RETURN(
                model, Model::load(*backend_, *opened_->weights, opened_->described, part,
                                   options_.weights, bounds, progress));
        }
        part_ = part;
        bounds_ = bounds;
        std::vector<LoadedTensor> tensors = model->tensors();
        runner_ = std::make_unique<StageRunner>(
            *backend_, std::move(model), opened_->described.spec, config,
            CacheFormat{element_type(options_.kv_type), options_.block_tokens});
        MOLINK_ASSIGN_OR_RETURN(const std::uint64_t capacity, runner_->block_capacity());
        sound_ = true;
        return Loaded{runner_->weight_bytes(), capacity, std::move(tensors)};
    }

    void unload() override {
        runner_.reset();
        sound_ = false;
    }
    Status start(std::uint64_t kv_blocks) override { return runner_->start(kv_blocks); }
    std::int32_t parts_at_once() const override { return 1 + backend_->traits().parts_ahead; }
    Status begin(StageInput input) override {
        const bool sound = std::exchange(sound_, false);  // also if the backend throws
        const Status begun = runner_->begin(std::move(input));
        sound_ = sound && begun.ok();
        return begun;
    }
    Result<StageOutput> finish() override {
        const bool sound = std::exchange(sound_, false);
        Result<StageOutput> output = runner_->finish();
        sound_ = sound && output.has_value();
        return output;
    }

private:
    ModelWorkOptions options_;
    std::unique_ptr<Backend> backend_;
    std::shared_ptr<const OpenedModel> opened_;
    std::unique_ptr<StageRunner> runner_;
    ModelPart part_;      // that runner_ holds
    ModelBounds bounds_;  // of its buffers
    bool sound_ = false;  // runner_ has loaded its layers, and no part has failed
};

}  // namespace

Result<std::unique_ptr<StageWork>> make_model_work(const ModelWorkOptions& options) {
    std::shared_ptr<const OpenedModel> opened = options.model;
    if (opened == nullptr) {
        MOLINK_ASSIGN_OR_RETURN(opened, open_model(options.model_dir));
    }
    MOLINK_ASSIGN_OR_RETURN(auto backend, open_device(options.backend, options.threads));
    return std::unique_ptr<StageWork>(
        std::make_unique<ModelWork>(options, std::move(backend), std::move(opened)));
}

}  // namespace molink
