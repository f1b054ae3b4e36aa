// Compares logits with those that transformers computes for the same tiny models: for a whole
// prompt, in slices, and in greedy decoding step by step. data/logits/ORIGIN.json and
// make_logits_golden.py tell how they were made.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/device_batch.h"
#include "backend/device_copier.h"
#include "loader/checkpoint.h"
#include "loader/config_file.h"
#include "model/model.h"
#include "support/catch.h"
#include "support/foreign_backend.h"

using namespace molink;

namespace {

constexpr std::int32_t kBlockTokens = 16;

const std::filesystem::path kData =
    std::filesystem::path(MOLINK_SOURCE_DIR) / "tests" / "golden" / "data" / "logits";

template <typename T>
T must(Result<T> result) {
    INFO(result.status().to_string());
    REQUIRE(result.has_value());
    return std::move(result).value();
}

/// A whole model with the pages of one sequence.
class Reference {
public:
    Reference(const std::string& device, const std::string& name, WeightFormat format,
              ElementType kv)
        : backend_(must(open_device(device, 1))),
          stream_(backend_->make_stream()),
          copier_(*backend_, *stream_),
          checkpoint_(must(Checkpoint::open(kData / name))),
          described_(must(describe_model(must(ConfigFile::load(kData / name))))) {
        const ModelSpec& spec = described_.spec;
        const ModelBounds bounds{kMaxRows, spec.context, 1, kBlockTokens};
        model_ = must(Model::load(*backend_, checkpoint_, described_,
                                  {{0, spec.layers}, true, true}, format, bounds));
        batch_ = must(DeviceBatch::make(*backend_, bounds.batch()));
        hidden_ = must(backend_->allocate(kMaxRows * static_cast<std::size_t>(spec.hidden) * 4));
        const auto blocks = static_cast<std::size_t>(spec.context / kBlockTokens);
        const std::size_t bytes = backend_->kv_block_bytes(kBlockTokens, spec.attention.kv_heads,
                                                           spec.attention.head_dim, kv);
        for (std::int32_t i = 0; i < spec.layers; ++i) {
            buffers_.push_back(must(backend_->allocate(bytes * blocks)));
            pages_.push_back({buffers_.back()->data(), static_cast<std::int64_t>(bytes),
                              kBlockTokens, spec.attention.kv_heads, spec.attention.head_dim, kv});
        }
        for (std::uint32_t i = 0; i < blocks; ++i) ids_.push_back(i);
    }

    /// Returns the logits [tokens, vocabulary] of `tokens`, which are at positions from `first` on.
    std::vector<float> run(const std::vector<std::int32_t>& tokens, std::int32_t first) {
        const auto rows = static_cast<std::int32_t>(tokens.size());
        batch_->clear();
        batch_->add_sequence(ids_);
        for (std::int32_t i = 0; i < rows; ++i) {
            batch_->add_row(first + i, tokens[static_cast<std::size_t>(i)]);
            batch_->add_wanted(i);
        }
        batch_->upload(*stream_);
        auto* const hidden = static_cast<float*>(hidden_->data());
        model_->embed(*stream_, batch_->tokens(), rows, hidden);
        model_->run_layers(*stream_, batch_->args(), pages_, hidden);
        const auto vocabulary = static_cast<std::size_t>(described_.spec.vocabulary);
        const std::int32_t most = backend_->traits().logit_rows;
        std::vector<float> logits(tokens.size() * vocabulary);
        for (std::int32_t at = 0; at < rows; at += most) {
            const std::int32_t now = std::min(most, rows - at);
            const float* out = model_->logits(*stream_, hidden, batch_->wanted() + at, now);
            const Status copied =
                copier_.to_host(logits.data() + static_cast<std::size_t>(at) * vocabulary, out,
                                static_cast<std::size_t>(now) * vocabulary * sizeof(float));
            INFO(copied.to_string());
            REQUIRE(copied.ok());
        }
        return logits;
    }

private:
    static constexpr std::int32_t kMaxRows = 64;

    std::unique_ptr<Backend> backend_;
    std::unique_ptr<Stream> stream_;
    DeviceCopier copier_;
    Checkpoint checkpoint_;
    Described described_;
    std::unique_ptr<Model> model_;
    std::optional<DeviceBatch> batch_;
    std::unique_ptr<DeviceBuffer> hidden_;
    std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
    std::vector<KvPages> pages_;
    std::vector<std::uint32_t> ids_;
};

struct Golden {
    std::vector<std::int32_t> prompt, output;
    std::vector<float> prefill, steps;

    explicit Golden(const std::string& name) {
        const auto file =
            must(SafetensorsFile::open((kData / name / "golden.safetensors").string()));
        prompt = numbers<std::int32_t>(file, "prompt");
        output = numbers<std::int32_t>(file, "output");
        prefill = numbers<float>(file, "prefill");
        steps = numbers<float>(file, "steps");
    }

    template <typename T>
    static std::vector<T> numbers(const SafetensorsFile& file, const std::string& name) {
        for (const TensorInfo& info : file.tensors()) {
            if (info.name != name) continue;
            std::vector<T> values((info.end - info.begin) / sizeof(T));
            const Status read =
                file.read_data(info.begin, std::as_writable_bytes(std::span(values)));
            INFO(read.to_string());
            REQUIRE(read.ok());
            return values;
        }
        FAIL("no tensor " << name);
        return {};
    }
};

/// Returns the largest difference relative to the largest expected magnitude.
double error_of(const std::vector<float>& ours, const float* expected) {
    double difference = 0;
    double largest = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
        difference = std::max(difference, std::fabs(double{ours[i]} - double{expected[i]}));
        largest = std::max(largest, std::fabs(double{expected[i]}));
    }
    return difference / largest;
}

/// Returns the root mean square of the difference relative to that of the expected values.
double rms_error_of(const std::vector<float>& ours, const float* expected) {
    double difference = 0;
    double size = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
        difference += std::pow(double{ours[i]} - double{expected[i]}, 2);
        size += std::pow(double{expected[i]}, 2);
    }
    return std::sqrt(difference / size);
}

/// Returns the CPU, and two devices that work late in memory that the host cannot see.
std::vector<std::string> devices() {
    test::register_foreign_backend();
    return {"cpu", "foreign:0", "foreign:1"};
}

const std::vector<std::string> kModels{"llama2_mha_f32", "llama3_gqa_bf16", "llama31_rope_f16",
                                       "llama_linear_f32", "llama_bias_sharded_f32"};

}  // namespace

TEST_CASE("logits equal those of transformers") {
    const std::string device = GENERATE(from_range(devices()));
    for (const std::string& name : kModels) {
        for (std::size_t slice : {48u, 7u, 1u}) {
            const Golden golden(name);
            Reference model(device, name, WeightFormat::native, ElementType::f32);
            std::vector<float> prefill;
            for (std::size_t at = 0; at < golden.prompt.size(); at += slice) {
                const std::size_t end = std::min(at + slice, golden.prompt.size());
                const std::vector<std::int32_t> rows(
                    golden.prompt.begin() + static_cast<std::ptrdiff_t>(at),
                    golden.prompt.begin() + static_cast<std::ptrdiff_t>(end));
                const auto logits = model.run(rows, static_cast<std::int32_t>(at));
                prefill.insert(prefill.end(), logits.begin(), logits.end());
            }
            INFO(name << ", slices of " << slice << ", " << device);
            REQUIRE(prefill.size() == golden.prefill.size());
            REQUIRE(error_of(prefill, golden.prefill.data()) < 1e-4);
            const std::size_t vocabulary = golden.prefill.size() / golden.prompt.size();
            for (std::size_t i = 0; i + 1 < golden.output.size(); ++i) {
                const auto position = static_cast<std::int32_t>(golden.prompt.size() + i);
                const auto row = model.run({golden.output[i]}, position);
                REQUIRE(error_of(row, golden.steps.data() + (i + 1) * vocabulary) < 1e-4);
                const auto best = std::max_element(row.begin(), row.end()) - row.begin();
                REQUIRE(best == golden.output[i + 1]);
            }
        }
    }
}

TEST_CASE("logits of quantised weights and half-precision caches stay close") {
    const std::string device = GENERATE(from_range(devices()));
    for (const std::string& name : kModels) {
        const Golden golden(name);
        Reference half(device, name, WeightFormat::native, ElementType::f16);
        INFO(name << ", " << device);
        REQUIRE(error_of(half.run(golden.prompt, 0), golden.prefill.data()) < 5e-3);
        Reference quantised(device, name, WeightFormat::q8_0, ElementType::f32);
        REQUIRE(rms_error_of(quantised.run(golden.prompt, 0), golden.prefill.data()) < 0.15);
    }
}
