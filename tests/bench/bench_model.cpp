// A decoder-only model of the shape "160m" as the plain sequence of ops that a stage would run,
// with random weights, so that only the backend is measured.
#include "bench_model.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/random.h"
#include "bench_machine.h"
#include "tensor/dtype.h"

namespace molink::bench {
namespace {

constexpr std::int64_t kQkv = 3 * kHidden;
constexpr ElementType kKvType = ElementType::f16;
constexpr std::int64_t kPromptBlocks = kMaxRows / kBlockTokens;

void must(const Status& status) {
    if (status.ok()) return;
    std::fprintf(stderr, "ops_bench: %s\n", status.to_string().c_str());
    std::exit(1);
}

template <typename T>
T must(Result<T> result) {
    must(result.status());
    return std::move(result).value();
}

/// Returns random values for the largest matrix, in the type of its source.
std::vector<std::byte> random_values(DataType type) {
    const auto count = static_cast<std::size_t>(kVocabulary * kHidden);
    std::vector<std::byte> out(count * data_type_bytes(type));
    Random random(3);
    for (std::size_t i = 0; i < count; ++i) {
        const auto value = static_cast<float>(random.uniform() - 0.5) * 0.1f;
        if (type == DataType::f32) {
            reinterpret_cast<float*>(out.data())[i] = value;
        } else {
            reinterpret_cast<std::uint16_t*>(out.data())[i] =
                type == DataType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
        }
    }
    return out;
}

}  // namespace

Weights Weights::make(Backend& backend, DataType type) {
    const DataType stored = type == DataType::q8_0 ? DataType::bf16 : type;
    const std::vector<std::byte> values = random_values(stored);
    const auto pack = [&](std::int64_t n, std::int64_t k) {
        const MatrixSource source{values.data(), stored, n, k};
        return must(backend.pack(&source, 1, type));
    };
    Weights weights;
    weights.type = type;
    for (std::int64_t i = 0; i < kLayers; ++i) {
        Layer layer;
        layer.qkv = pack(kQkv, kHidden);
        layer.out = pack(kHidden, kHidden);
        layer.gate_up = pack(2 * kFfn, kHidden);
        layer.down = pack(kHidden, kFfn);
        weights.layers.push_back(std::move(layer));
    }
    weights.lm_head = pack(kVocabulary, kHidden);
    return weights;
}

std::size_t Weights::bytes() const {
    std::size_t total = lm_head->bytes();
    for (const Layer& layer : layers) {
        total +=
            layer.qkv->bytes() + layer.out->bytes() + layer.gate_up->bytes() + layer.down->bytes();
    }
    return total;
}

template <typename T>
T* BenchModel::put(const std::vector<T>& values) {
    const std::size_t bytes = values.size() * sizeof(T);
    buffers_.push_back(must(backend_.allocate(bytes)));
    must(copier_.to_device(buffers_.back()->data(), values.data(), bytes));
    return static_cast<T*>(buffers_.back()->data());
}

template <typename T>
T* BenchModel::allocate(std::int64_t count, T value) {
    return put(std::vector<T>(static_cast<std::size_t>(count), value));
}

BenchModel::BenchModel(Backend& backend, std::int32_t context)
    : backend_(backend),
      stream_(backend.make_stream()),
      copier_(backend, *stream_),
      batch_(must(DeviceBatch::make(backend,
                                    {kMaxRows, kMaxBatch, kMaxBatch * (kMaxRows / kBlockTokens)}))),
      context_(context),
      sequence_blocks_((context + kBlockTokens - 1) / kBlockTokens),
      blocks_(std::max(kMaxBatch * sequence_blocks_, kPromptBlocks)) {
    page_bytes_ = backend.kv_block_bytes(kBlockTokens, kQHeads, kHeadDim, kKvType);
    pages_ = allocate<std::byte>(static_cast<std::int64_t>(page_bytes_) * blocks_ * kLayers);
    x_ = allocate<float>(kMaxRows * kHidden);
    normed_ = allocate<float>(kMaxRows * kHidden);
    qkv_ = allocate<float>(kMaxRows * kQkv);
    mixed_ = allocate<float>(kMaxRows * kHidden);
    wide_ = allocate<float>(kMaxRows * 2 * kFfn);
    gated_ = allocate<float>(kMaxRows * kFfn);
    logits_ = allocate<float>(kMaxBatch * kVocabulary);
    ones_ = allocate<float>(kHidden, 1.0f);
    cos_ = allocate<float>(kMaxRows * kHeadDim / 2, 0.8f);
    sin_ = allocate<float>(kMaxRows * kHeadDim / 2, 0.6f);
    workspace_ = allocate<std::byte>(
        static_cast<std::int64_t>(backend.matmul_workspace_bytes(kMaxRows, kFfn)));
    best_ = allocate<std::int32_t>(kMaxBatch);
    std::vector<float> table(static_cast<std::size_t>(kMaxRows * kHidden));
    Random random(4);
    for (float& value : table) value = static_cast<float>(random.uniform() - 0.5);
    table_ = put(table);
}

template <typename Body>
void BenchModel::timed(const char* kind, const Body& body) {
    const double begin_s = now_s();
    body();
    seconds[kind] += now_s() - begin_s;
}

void BenchModel::matmul(const char* kind, const PackedMatrix& weight, const float* x,
                        std::int64_t rows, float* y) {
    MatmulArgs args;
    args.weight = &weight;
    args.x = x;
    args.y = y;
    args.rows = rows;
    args.x_stride = weight.k;
    args.y_stride = weight.n;
    args.workspace = workspace_;
    timed(kind, [&] { stream_->matmul(args); });
}

void BenchModel::norm(const float* x, float* out, std::int64_t rows) {
    RmsNormArgs args;
    args.x = x;
    args.weight = ones_;
    args.out = out;
    args.rows = rows;
    args.width = args.x_stride = args.out_stride = kHidden;
    timed("rms_norm", [&] { stream_->rms_norm(args); });
}

void BenchModel::add(std::int64_t rows) {
    AddArgs args;
    args.x = x_;
    args.y = mixed_;
    args.count = rows * kHidden;
    timed("add", [&] { stream_->add(args); });
}

void BenchModel::attention(std::int64_t index, std::int64_t rows) {
    RopeArgs rope;
    rope.x = qkv_;
    rope.positions = batch_.args().positions;
    rope.cos = cos_;
    rope.sin = sin_;
    rope.rows = rows;
    rope.heads = 2 * kQHeads;  // q and k are next to each other
    rope.head_dim = rope.rotary_dim = kHeadDim;
    rope.row_stride = kQkv;
    timed("rope", [&] { stream_->rope(rope); });
    KvWriteArgs write;
    write.pages.base =
        pages_ + static_cast<std::size_t>(index) * page_bytes_ * static_cast<std::size_t>(blocks_);
    write.pages.block_bytes = static_cast<std::int64_t>(page_bytes_);
    write.pages.block_tokens = kBlockTokens;
    write.pages.kv_heads = kQHeads;
    write.pages.head_dim = kHeadDim;
    write.pages.type = kKvType;
    write.batch = batch_.args();
    write.k = qkv_ + kHidden;
    write.v = qkv_ + 2 * kHidden;
    write.k_stride = write.v_stride = kQkv;
    timed("kv_write", [&] { stream_->kv_write(write); });
    AttentionArgs args;
    args.pages = write.pages;
    args.batch = write.batch;
    args.q = qkv_;
    args.q_stride = kQkv;
    args.out = normed_;
    args.q_heads = kQHeads;
    args.scale = 0.125f;
    timed("attention", [&] { stream_->attention(args); });
}

void BenchModel::layer(const Weights::Layer& weights, std::int64_t index, std::int64_t rows) {
    norm(x_, normed_, rows);
    matmul("matmul", *weights.qkv, normed_, rows, qkv_);
    attention(index, rows);
    matmul("matmul", *weights.out, normed_, rows, mixed_);
    add(rows);
    norm(x_, normed_, rows);
    matmul("matmul", *weights.gate_up, normed_, rows, wide_);
    GateArgs gate;
    gate.gate = wide_;
    gate.up = wide_ + kFfn;
    gate.out = gated_;
    gate.rows = rows;
    gate.width = kFfn;
    gate.gate_stride = gate.up_stride = 2 * kFfn;
    timed("gate", [&] { stream_->gate(gate); });
    matmul("matmul", *weights.down, gated_, rows, mixed_);
    add(rows);
}

void BenchModel::add_sequence(std::int64_t first_block, std::int64_t blocks) {
    std::vector<std::uint32_t> ids;
    for (std::int64_t i = 0; i < blocks; ++i) {
        ids.push_back(static_cast<std::uint32_t>(first_block + i));
    }
    batch_.add_sequence(ids);
}

void BenchModel::prefill(const Weights& weights, std::int32_t first, std::int32_t rows) {
    batch_.clear();
    add_sequence(0, kPromptBlocks);
    for (std::int32_t r = 0; r < rows; ++r) batch_.add_row(first + r, r);
    forward(weights, rows);
}

void BenchModel::decode(const Weights& weights, std::int32_t sequences) {
    batch_.clear();
    for (std::int32_t r = 0; r < sequences; ++r) {
        add_sequence(r * sequence_blocks_, sequence_blocks_);
        batch_.add_row(context_ - 1, r);
    }
    forward(weights, sequences);
    norm(x_, normed_, sequences);
    matmul("lm_head", *weights.lm_head, normed_, sequences, logits_);
    ArgmaxArgs argmax;
    argmax.x = logits_;
    argmax.out = best_;
    argmax.rows = sequences;
    argmax.width = kVocabulary;
    timed("argmax", [&] { stream_->argmax(argmax); });
}

void BenchModel::forward(const Weights& weights, std::int64_t rows) {
    batch_.upload(*stream_);
    EmbedArgs embed;
    embed.table = table_;
    embed.ids = batch_.tokens();
    embed.out = x_;
    embed.rows = rows;
    embed.hidden = kHidden;
    timed("embed", [&] { stream_->embed(embed); });
    for (std::int64_t i = 0; i < kLayers; ++i) {
        layer(weights.layers[static_cast<std::size_t>(i)], i, rows);
    }
}

double BenchModel::flops(std::int64_t rows) {
    const double weights = double{kLayers} * double{kQkv * kHidden + kHidden * kHidden +
                                                    2 * kFfn * kHidden + kHidden * kFfn};
    const auto count = static_cast<double>(rows);
    const double pairs = count * (count + 1) / 2;
    return 2 * count * weights + 4 * pairs * double{kHidden} * double{kLayers};
}

}  // namespace molink::bench
