// Measures the speed of a node's device for the partitioner. Profiles are measured and not looked
// up, because the same processor is twice as fast or slow with other memory, other neighbours or
// another power plan.
#include "stage/device_probe.h"

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "backend/device_batch.h"
#include "backend/device_copier.h"
#include "base/error.h"

namespace molink {
namespace {

constexpr std::int32_t kSliceRows = 64;
constexpr std::int32_t kDecodeRows = 16;
/// Smallest time of a further decode row. Noise can make it 0, which would mean "not measured".
constexpr double kLeastRowUs = 0.001;
constexpr std::int32_t kBlockTokens = 64;
constexpr std::int64_t kBudgetUs = 300'000;
/// More bytes of weights than caches hold. A stage reads each of its layers once per part. A single
/// layer that ran again and again would stay in the cache and look faster.
constexpr std::uint64_t kColdBytes = std::uint64_t{96} << 20;

/// Layers of the model on the device, with hidden rows and one KV block. All layers and sequences
/// can share the block, because each row has its own position.
class ProbedLayers {
public:
    static Result<std::unique_ptr<ProbedLayers>> load(Backend& backend, const WeightSource& source,
                                                      const Described& described,
                                                      WeightFormat format, LayerRange layers) {
        auto probed = std::make_unique<ProbedLayers>();
        MOLINK_RETURN_IF_ERROR(probed->make(backend, source, described, format, layers));
        return probed;
    }

    std::int32_t max_rows() const { return max_rows_; }

    /// Returns the time of `rows` rows at positions [0, rows), us. With `decode`, each row belongs
    /// to a sequence of its own, otherwise all rows belong to one.
    Result<double> run_us(std::int32_t rows, bool decode) {
        constexpr std::uint32_t kBlock = 0;
        batch_->clear();
        for (std::int32_t row = 0; row < rows; ++row) {
            if (row == 0 || decode) batch_->add_sequence({&kBlock, 1});
            batch_->add_row(row, 0);
        }
        batch_->upload(*stream_);
        // Without this the values would grow from run to run.
        stream_->upload(hidden_->data(), ones_->data(), ones_->bytes());
        const Mark begin = stream_->record();
        model_->run_layers(*stream_, batch_->args(), pages_, static_cast<float*>(hidden_->data()));
        const Mark end = stream_->record();
        MOLINK_RETURN_IF_ERROR(stream_->wait(end));
        return static_cast<double>(stream_->elapsed_us(begin, end));
    }

private:
    Status make(Backend& backend, const WeightSource& source, const Described& described,
                WeightFormat format, LayerRange layers) {
        const ModelSpec& spec = described.spec;
        max_rows_ = std::min(kSliceRows, spec.context);
        stream_ = backend.make_stream();
        const ModelBounds bounds{max_rows_, max_rows_, max_rows_, kBlockTokens};
        MOLINK_ASSIGN_OR_RETURN(model_, Model::load(backend, source, described,
                                                    {layers, false, false}, format, bounds));
        MOLINK_ASSIGN_OR_RETURN(batch_, DeviceBatch::make(backend, bounds.batch()));
        const CacheFormat cache{ElementType::f32, kBlockTokens};
        for (std::size_t i = 0; i < static_cast<std::size_t>(layers.size()); ++i) {
            const std::size_t block = model_->cache_block_bytes(i, cache);
            if (page_ == nullptr || page_->bytes() < block) {
                MOLINK_ASSIGN_OR_RETURN(page_, backend.allocate(block));
            }
        }
        for (std::size_t i = 0; i < static_cast<std::size_t>(layers.size()); ++i) {
            pages_.push_back(model_->cache_pages(i, cache, page_->data()));
        }
        const std::size_t values =
            static_cast<std::size_t>(max_rows_) * static_cast<std::size_t>(spec.hidden);
        MOLINK_ASSIGN_OR_RETURN(hidden_, backend.allocate(values * sizeof(float)));
        MOLINK_ASSIGN_OR_RETURN(ones_, backend.allocate_host(values * sizeof(float)));
        std::fill_n(static_cast<float*>(ones_->data()), values, 1.0f);
        return {};
    }

    std::int32_t max_rows_ = 0;
    std::unique_ptr<Stream> stream_;
    std::unique_ptr<Model> model_;
    std::optional<DeviceBatch> batch_;
    std::unique_ptr<DeviceBuffer> page_;
    std::vector<KvPages> pages_;  // [layers]
    std::unique_ptr<DeviceBuffer> hidden_;
    std::unique_ptr<PinnedBuffer> ones_;
};

/// Returns the time of `rows` rows while little else runs, us: the lower quartile of 3 to 15 runs.
/// Nodes are profiled while they start, often several on one machine. They slow each other down
/// only then, but a plan made from such times would stay.
Result<double> quiet_us(const Clock& clock, ProbedLayers& layers, std::int32_t rows, bool decode) {
    MOLINK_RETURN_IF_ERROR(layers.run_us(rows, decode).status());  // warms up pages and caches
    std::vector<double> times;
    const std::int64_t begin = clock.now_us();
    while (times.size() < 3 || (times.size() < 15 && clock.now_us() - begin < kBudgetUs)) {
        MOLINK_ASSIGN_OR_RETURN(const double time_us, layers.run_us(rows, decode));
        times.push_back(time_us);
    }
    const auto quartile = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 4);
    std::nth_element(times.begin(), quartile, times.end());
    return std::max(*quartile, 1.0);
}

}  // namespace

Result<NodeProfile> probe_node(Backend& backend, const WeightSource& source,
                               const Described& described, WeightFormat format,
                               const Clock& clock) {
    const ModelSpec& spec = described.spec;
    const std::uint64_t layer_bytes =
        part_weight_bytes(backend, spec, {{0, 1}, false, false}, format);
    const std::uint64_t cold = (kColdBytes + layer_bytes - 1) / layer_bytes;
    const auto layers = static_cast<std::int32_t>(
        std::min<std::uint64_t>(cold, static_cast<std::uint64_t>(spec.layers)));
    MOLINK_ASSIGN_OR_RETURN(const auto probed,
                            ProbedLayers::load(backend, source, described, format, {0, layers}));
    const std::int32_t rows = probed->max_rows();
    NodeProfile profile;
    MOLINK_ASSIGN_OR_RETURN(const double slice_us, quiet_us(clock, *probed, rows, false));
    MOLINK_ASSIGN_OR_RETURN(const double row_us, quiet_us(clock, *probed, 1, true));
    profile.prefill_row_layer_us = slice_us / layers / rows;
    profile.decode_layer_us = row_us / layers;
    if (const std::int32_t batch = std::min(kDecodeRows, rows); batch > 1) {
        MOLINK_ASSIGN_OR_RETURN(const double batch_us, quiet_us(clock, *probed, batch, true));
        profile.decode_row_layer_us =
            std::max((batch_us / layers - profile.decode_layer_us) / (batch - 1), kLeastRowUs);
    }
    const ModelPart lm_head{{0, 0}, false, true};
    profile.lm_head_row_us =
        profile.decode_layer_us *
        static_cast<double>(part_weight_bytes(backend, spec, lm_head, format)) /
        static_cast<double>(layer_bytes);
    return profile;
}

}  // namespace molink
