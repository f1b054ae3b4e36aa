// The timed stage: tokens of the fold model, times of a profile, and memory counted as in a stage
// that computes. Service times are linear in the rows: a constant for reading the weights and a
// slope for the arithmetic. A profile that knows nothing else of the device cannot say more.
#include "stage/timed_work.h"

#include "base/error.h"

namespace molink {
namespace {

class TimedWork final : public StageWork {
public:
    explicit TimedWork(const TimedWorkOptions& options) : options_(options) {}

    Result<Loaded> load(const StageConfig& config, const Progress& progress) override {
        config_ = config;
        runner_ = std::make_unique<FoldRunner>(options_.shape, config);
        const ModelPart part{config.layers, config.has_embedding(), config.has_lm_head()};
        const std::uint64_t weights =
            part_weight_bytes(*options_.backend, options_.spec, part, options_.format);
        MOLINK_ASSIGN_OR_RETURN(const std::uint64_t capacity,
                                offered_blocks(*options_.backend, options_.spec, config, weights,
                                               {options_.kv_type, options_.shape.block_tokens}));
        progress(weights, weights);
        return Loaded{weights, capacity, {}};
    }

    void unload() override { runner_.reset(); }

    Status start(std::uint64_t kv_blocks) override {
        runner_->start(kv_blocks);
        return {};
    }

    Status begin(StageInput input) override {
        MOLINK_ASSIGN_OR_RETURN(output_, runner_->run(std::move(input)));
        if (runner_->violation().empty()) return {};
        return Status(StatusCode::data_loss, runner_->violation());
    }

    Result<StageOutput> finish() override { return std::move(output_); }

    std::int64_t service_us(const StageInput& input) const override {
        const std::int32_t rows = row_count(input);
        const bool lm_head = config_.samples(input) && rows > 0;
        return timed_service_us(options_.profile, kind_of(input), rows, config_.layers_for(input),
                                lm_head);
    }

private:
    TimedWorkOptions options_;
    StageConfig config_;
    std::unique_ptr<FoldRunner> runner_;
    StageOutput output_;  // of the part under way
};

}  // namespace

std::unique_ptr<StageWork> make_timed_work(const TimedWorkOptions& options) {
    return std::make_unique<TimedWork>(options);
}

std::int64_t timed_service_us(const TimedProfile& profile, PartKind kind, std::int32_t rows,
                              std::int32_t layers, bool has_lm_head) {
    const bool decode = kind == PartKind::decode;
    const double layer = decode ? profile.decode_layer_us + rows * profile.decode_row_layer_us
                                : profile.prefill_layer_us + rows * profile.prefill_row_layer_us;
    const double lm_head = profile.lm_head_us + (decode ? rows * profile.lm_head_row_us : 0);
    return static_cast<std::int64_t>(layers * layer + (has_lm_head ? lm_head : 0)) + 1;
}

}  // namespace molink
