// The work of a stage with a real model. It holds what outlives an epoch: the backend and the
// opened weight files. A StageRunner, new for each epoch, holds the weights and the pages and runs
// the parts.
#include "stage/model_work.h"

#include <utility>

#include "backend/backend.h"
#include "base/error.h"
#include "loader/model_folder.h"
#include "model/model.h"
#include "stage/stage_runner.h"

namespace molink {
namespace {

class ModelWork final : public StageWork {
public:
    ModelWork(const ModelWorkOptions& options, std::unique_ptr<Backend> backend,
              std::unique_ptr<WeightSource> weights, Described described)
        : options_(options),
          backend_(std::move(backend)),
          weights_(std::move(weights)),
          described_(std::move(described)) {}

    Result<Loaded> load(const StageConfig& config, const Progress& progress) override {
        runner_.reset();
        const ModelPart part{config.layers, config.has_embedding(), config.has_lm_head()};
        const ModelBounds bounds{config.max_rows, config.max_context, config.max_sequences,
                                 options_.block_tokens};
        MOLINK_ASSIGN_OR_RETURN(auto model, Model::load(*backend_, *weights_, described_, part,
                                                        options_.weights, bounds, progress));
        runner_ = std::make_unique<StageRunner>(
            *backend_, std::move(model), described_.spec, config,
            CacheFormat{element_type(options_.kv_type), options_.block_tokens});
        MOLINK_ASSIGN_OR_RETURN(const std::uint64_t capacity, runner_->block_capacity());
        return Loaded{runner_->weight_bytes(), capacity};
    }

    Status start(std::uint64_t kv_blocks) override { return runner_->start(kv_blocks); }
    std::int32_t parts_at_once() const override { return 1 + backend_->traits().parts_ahead; }
    Status begin(StageInput input) override { return runner_->begin(std::move(input)); }
    Result<StageOutput> finish() override { return runner_->finish(); }

private:
    ModelWorkOptions options_;
    std::unique_ptr<Backend> backend_;
    std::unique_ptr<WeightSource> weights_;
    Described described_;
    std::unique_ptr<StageRunner> runner_;
};

}  // namespace

Result<std::unique_ptr<StageWork>> make_model_work(const ModelWorkOptions& options) {
    MOLINK_ASSIGN_OR_RETURN(const ModelFolder folder, ModelFolder::open(options.model_dir));
    MOLINK_ASSIGN_OR_RETURN(Described described, describe_model(folder.config()));
    MOLINK_ASSIGN_OR_RETURN(auto weights, folder.open_weights());
    MOLINK_ASSIGN_OR_RETURN(auto backend, open_device(options.backend, options.threads));
    return std::unique_ptr<StageWork>(std::make_unique<ModelWork>(
        options, std::move(backend), std::move(weights), std::move(described)));
}

}  // namespace molink
