// Layers of made-up architectures, which need no other code than an architecture file. Weights come
// from memory, so that every tensor has the format that a test gives it.
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include "backend/device_batch.h"
#include "backend/device_copier.h"
#include "base/random.h"
#include "model/model.h"
#include "support/catch.h"
#include "support/foreign_backend.h"
#include "tensor/dtype.h"

using namespace molink;

namespace {

constexpr std::int32_t kHidden = 32;
constexpr std::int32_t kHeads = 4;
constexpr std::int32_t kKvHeads = 2;
constexpr std::int32_t kHeadDim = 16;
constexpr std::int64_t kQ = kHeads * kHeadDim;
constexpr std::int64_t kKv = kKvHeads * kHeadDim;
constexpr std::int32_t kFfn = 48;
constexpr std::int32_t kVocabulary = 40;
constexpr std::int32_t kLayers = 2;
constexpr std::int32_t kRows = 9;
constexpr std::int32_t kBlockTokens = 16;

class MemoryReader final : public TensorReader {
public:
    MemoryReader(const std::byte* data, std::size_t row_bytes)
        : data_(data), row_bytes_(row_bytes) {}
    Status read(std::int64_t begin, std::int64_t count, std::byte* out) const override {
        std::memcpy(out, data_ + static_cast<std::size_t>(begin) * row_bytes_,
                    static_cast<std::size_t>(count) * row_bytes_);
        return {};
    }
    Status finish() const override { return {}; }

private:
    const std::byte* data_;
    std::size_t row_bytes_;
};

/// A weight source whose tensors a test provides.
class MemoryWeights final : public WeightSource {
public:
    void put(const std::string& name, std::vector<std::int64_t> shape,
             const std::vector<float>& values, DataType type = DataType::f32) {
        Stored& stored = tensors_[name];
        stored.type = type;
        stored.shape = std::move(shape);
        stored.bytes.resize(values.size() * data_type_bytes(type));
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (type == DataType::f32) {
                std::memcpy(stored.bytes.data() + 4 * i, &values[i], 4);
                continue;
            }
            const std::uint16_t bits =
                type == DataType::f16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
            std::memcpy(stored.bytes.data() + 2 * i, &bits, 2);
        }
    }

    using WeightSource::tensor;
    std::string where() const override { return "memory"; }
    bool has(std::string_view name) const override {
        return tensors_.count(std::string(name)) != 0;
    }
    std::vector<std::string> names() const override {
        std::vector<std::string> names;
        for (const auto& item : tensors_) names.push_back(item.first);
        return names;
    }
    Result<StoredTensor> tensor(std::string_view name) const override {
        const auto found = tensors_.find(std::string(name));
        if (found == tensors_.end()) return Status(StatusCode::not_found, std::string(name));
        const Stored& stored = found->second;
        StoredTensor tensor{found->first, stored.type, stored.shape};
        tensor.bytes = stored.bytes.size();
        return tensor;
    }
    Result<std::unique_ptr<TensorReader>> reader(const StoredTensor& tensor) const override {
        const Bytes& bytes = tensors_.at(tensor.name).bytes;
        return std::unique_ptr<TensorReader>(
            std::make_unique<MemoryReader>(bytes.data() + tensor.offset, tensor.row_bytes()));
    }
    Result<std::uint64_t> content_hash() const override { return std::uint64_t{1}; }

private:
    struct Stored {
        DataType type = DataType::f32;
        std::vector<std::int64_t> shape;
        std::vector<std::byte> bytes;
    };
    std::map<std::string, Stored> tensors_;
};

LayerTensors plain_tensors(const ModelSpec&, std::int32_t layer) {
    const std::string base = std::to_string(layer) + ".";
    const auto ref = [&](const char* name) { return TensorRef(base + name); };
    LayerTensors names;
    names.attention.norm = ref("norm");
    names.attention.q = ref("q");
    names.attention.k = ref("k");
    names.attention.v = ref("v");
    names.attention.o = ref("o");
    names.dense.norm = ref("mlp_norm");
    names.dense.gate = ref("gate");
    names.dense.up = ref("up");
    names.dense.down = ref("down");
    return names;
}

/// Names the tensors of a layer that has norms of queries and keys.
LayerTensors normed_tensors(const ModelSpec& spec, std::int32_t layer) {
    LayerTensors names = plain_tensors(spec, layer);
    names.attention.q_norm = TensorRef(std::to_string(layer) + ".q_norm");
    names.attention.k_norm = TensorRef(std::to_string(layer) + ".k_norm");
    return names;
}

/// Names the tensors of a layer that stores queries, keys and values in one tensor, and gate and up
/// in another.
LayerTensors stacked_tensors(const ModelSpec& spec, std::int32_t layer) {
    LayerTensors names = plain_tensors(spec, layer);
    const std::string qkv = std::to_string(layer) + ".qkv";
    const std::string gate_up = std::to_string(layer) + ".gate_up";
    names.attention.q = TensorRef(qkv, {0, kQ});
    names.attention.k = TensorRef(qkv, {kQ, kQ + kKv});
    names.attention.v = TensorRef(qkv, {kQ + kKv, kQ + 2 * kKv});
    names.dense.gate = TensorRef(gate_up, {0, kFfn});
    names.dense.up = TensorRef(gate_up, {kFfn, 2 * kFfn});
    return names;
}

OuterTensors outer_tensors(const ModelSpec&) {
    return {TensorRef("embedding"), TensorRef("norm"), TensorRef("embedding")};
}

const Architecture kPlain{{"Plain"}, nullptr, &plain_tensors, &outer_tensors};
const Architecture kNormed{{"Normed"}, nullptr, &normed_tensors, &outer_tensors};
const Architecture kStacked{{"Stacked"}, nullptr, &stacked_tensors, &outer_tensors};

ModelSpec tiny_spec() {
    ModelSpec spec;
    spec.hidden = kHidden;
    spec.layers = kLayers;
    spec.vocabulary = kVocabulary;
    spec.context = 64;
    spec.attention.q_heads = kHeads;
    spec.attention.kv_heads = kKvHeads;
    spec.attention.head_dim = kHeadDim;
    spec.mlp.ffn = kFfn;
    spec.norm.epsilon = 1e-12f;
    spec.rope.rotary_dim = kHeadDim;
    spec.layer_specs.assign(kLayers, LayerSpec());
    spec.tied_embeddings = true;
    return spec;
}

using Values = std::map<std::string, std::vector<float>>;

/// Returns values that every type represents exactly.
std::vector<float> coarse(Random& random, std::int64_t count) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) {
        values.push_back(static_cast<float>(static_cast<int>(random.below(255)) - 127) / 512.0f);
    }
    return values;
}

Values tiny_values() {
    Random random(8);
    Values values;
    values["embedding"] = coarse(random, kVocabulary * kHidden);
    values["norm"] = std::vector<float>(kHidden, 1.0f);
    for (std::int32_t i = 0; i < kLayers; ++i) {
        const std::string base = std::to_string(i) + ".";
        values[base + "norm"] = values[base + "mlp_norm"] = std::vector<float>(kHidden, 1.0f);
        values[base + "q"] = coarse(random, kQ * kHidden);
        values[base + "k"] = coarse(random, kKv * kHidden);
        values[base + "v"] = coarse(random, kKv * kHidden);
        values[base + "o"] = coarse(random, kHidden * kQ);
        values[base + "gate"] = coarse(random, kFfn * kHidden);
        values[base + "up"] = coarse(random, kFfn * kHidden);
        values[base + "down"] = coarse(random, kHidden * kFfn);
        values[base + "q_norm"] = values[base + "k_norm"] = std::vector<float>(kHeadDim, 1.0f);
    }
    return values;
}

std::vector<std::int64_t> shape_of(const std::string& name, std::size_t count) {
    if (name.find("norm") != std::string::npos) return {static_cast<std::int64_t>(count)};
    const std::int64_t k = name.ends_with(".o") ? kQ : name.ends_with(".down") ? kFfn : kHidden;
    return {static_cast<std::int64_t>(count) / k, k};
}

/// Stores every tensor as float32, except those in `types`.
MemoryWeights store(const Values& values, const std::map<std::string, DataType>& types = {}) {
    MemoryWeights weights;
    for (const auto& [name, numbers] : values) {
        const auto type = types.find(name);
        weights.put(name, shape_of(name, numbers.size()), numbers,
                    type == types.end() ? DataType::f32 : type->second);
    }
    return weights;
}

template <typename T>
T must(Result<T> result) {
    INFO(result.status().to_string());
    REQUIRE(result.has_value());
    return std::move(result).value();
}

struct Run {
    std::vector<float> logits;
    std::uint64_t weight_bytes = 0;
};

/// Computes the logits of all rows of one prompt.
Run run(const Architecture& architecture, const ModelSpec& spec, const WeightSource& weights,
        const std::string& device = "cpu") {
    test::register_foreign_backend();
    const auto backend = must(open_device(device, 1));
    const ModelBounds bounds{kRows, 64, 1, kBlockTokens};
    const Described described{&architecture, spec};
    const auto model = must(Model::load(*backend, weights, described, {{0, kLayers}, true, true},
                                        WeightFormat::native, bounds));
    const std::unique_ptr<Stream> stream = backend->make_stream();
    DeviceCopier copier(*backend, *stream);
    DeviceBatch batch = must(DeviceBatch::make(*backend, bounds.batch()));
    batch.clear();
    const std::uint32_t block = 0;
    batch.add_sequence({&block, 1});
    for (std::int32_t i = 0; i < kRows; ++i) {
        batch.add_row(i, (i * 7 + 3) % kVocabulary);
        batch.add_wanted(i);
    }
    batch.upload(*stream);
    const CacheFormat format{ElementType::f32, kBlockTokens};
    std::vector<std::unique_ptr<DeviceBuffer>> buffers;
    std::vector<KvPages> pages;
    for (std::size_t i = 0; i < kLayers; ++i) {
        buffers.push_back(must(backend->allocate(model->cache_block_bytes(i, format))));
        pages.push_back(model->cache_pages(i, format, buffers.back()->data()));
    }
    const auto hidden_buffer = must(backend->allocate(kRows * kHidden * sizeof(float)));
    auto* const hidden = static_cast<float*>(hidden_buffer->data());
    model->embed(*stream, batch.tokens(), kRows, hidden);
    model->run_layers(*stream, batch.args(), pages, hidden);
    Run result;
    result.weight_bytes = model->weight_bytes();
    const std::int32_t most = backend->traits().logit_rows;
    for (std::int32_t at = 0; at < kRows; at += most) {
        const std::int32_t now = std::min(most, kRows - at);
        std::vector<float> piece(static_cast<std::size_t>(now * kVocabulary));
        const float* logits = model->logits(*stream, hidden, batch.wanted() + at, now);
        REQUIRE(copier.to_host(piece.data(), logits, piece.size() * sizeof(float)).ok());
        result.logits.insert(result.logits.end(), piece.begin(), piece.end());
    }
    return result;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    REQUIRE(a.size() == b.size());
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        largest = std::max(largest, std::fabs(double{a[i]} - double{b[i]}));
    }
    return largest;
}

void scale(std::vector<float>& values, float by) {
    for (float& value : values) value *= by;
}

}  // namespace

TEST_CASE("with norms of queries and keys, attention does not depend on their magnitude") {
    const std::string device = GENERATE("cpu", "foreign:1");
    ModelSpec spec = tiny_spec();
    Values values = tiny_values();
    const auto plain = run(kPlain, spec, store(values), device).logits;
    spec.attention.qk_norm = true;
    const auto normed = run(kNormed, spec, store(values), device).logits;
    REQUIRE(largest_difference(plain, normed) > 0.01);

    // Queries or keys of another magnitude change attention only without the norms.
    for (const char* name : {"0.q", "1.k"}) {
        Values scaled = values;
        scale(scaled[name], 8.0f);
        spec.attention.qk_norm = false;
        REQUIRE(largest_difference(run(kPlain, spec, store(scaled), device).logits, plain) > 0.01);
        spec.attention.qk_norm = true;
        REQUIRE(largest_difference(run(kNormed, spec, store(scaled), device).logits, normed) <
                1e-5);
    }

    // Doubled weights of either norm have the same effect as a doubled scale of the scores, bit for
    // bit.
    Values weighted = values;
    scale(weighted["0.q_norm"], 2.0f);
    scale(weighted["1.k_norm"], 2.0f);
    ModelSpec doubled = spec;
    doubled.attention.scale = 2.0f / std::sqrt(static_cast<float>(kHeadDim));
    const auto by_weights = run(kNormed, spec, store(weighted), device).logits;
    REQUIRE(by_weights == run(kNormed, doubled, store(values), device).logits);
    REQUIRE(largest_difference(by_weights, normed) > 1e-3);
}

TEST_CASE("norms of queries and keys count in the sizes") {
    const auto backend = must(open_device("cpu", 1));
    ModelSpec spec = tiny_spec();
    const ModelPart all{{0, kLayers}, true, true};
    const auto bytes = [&] { return part_weight_bytes(*backend, spec, all, WeightFormat::native); };
    const std::uint64_t plain = bytes();
    REQUIRE(run(kPlain, spec, store(tiny_values())).weight_bytes == plain);
    spec.attention.qk_norm = true;
    REQUIRE(bytes() == plain + kLayers * 2 * kHeadDim * sizeof(float));
    REQUIRE(run(kNormed, spec, store(tiny_values())).weight_bytes == bytes());
}

TEST_CASE("weights may be rows of one stored tensor") {
    const ModelSpec spec = tiny_spec();
    Values values = tiny_values();
    const Run expected = run(kPlain, spec, store(values));
    for (std::int32_t i = 0; i < kLayers; ++i) {
        const std::string base = std::to_string(i) + ".";
        const auto stack = [&](const std::string& to, std::vector<std::string> names) {
            for (const std::string& name : names) {
                values[base + to].insert(values[base + to].end(), values[base + name].begin(),
                                         values[base + name].end());
                values.erase(base + name);
            }
        };
        stack("qkv", {"q", "k", "v"});
        stack("gate_up", {"gate", "up"});
    }
    const Run stacked = run(kStacked, spec, store(values));
    REQUIRE(stacked.logits == expected.logits);
    REQUIRE(stacked.weight_bytes == expected.weight_bytes);

    values["1.qkv"].resize(values["1.qkv"].size() - kHidden);
    const MemoryWeights short_weights = store(values);
    const auto backend = must(open_device("cpu", 1));
    const auto failed =
        Model::load(*backend, short_weights, {&kStacked, spec}, {{0, kLayers}, false, false},
                    WeightFormat::native, {kRows, 64, 1, kBlockTokens});
    REQUIRE(!failed);
    REQUIRE(failed.error().code() == StatusCode::data_loss);
    REQUIRE(failed.error().message() ==
            "read model memory: '1.qkv rows 96-127' is out of range; the tensor has 127 rows");
}

TEST_CASE("each tensor has its own format, also tensors that are packed as one matrix") {
    const ModelSpec spec = tiny_spec();
    const Values values = tiny_values();
    const Run expected = run(kPlain, spec, store(values));
    const MemoryWeights mixed = store(values, {{"0.q", DataType::f16},
                                               {"0.k", DataType::bf16},
                                               {"0.down", DataType::bf16},
                                               {"1.up", DataType::f16},
                                               {"1.norm", DataType::bf16},
                                               {"embedding", DataType::f16}});
    for (const char* device : {"cpu", "foreign:0"}) {
        const Run got = run(kPlain, spec, mixed, device);
        REQUIRE(got.logits == expected.logits);
        REQUIRE(got.weight_bytes < expected.weight_bytes);
    }
}
