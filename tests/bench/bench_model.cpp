// A decoder-only model of the shape "160m" as the plain sequence of ops that a stage would run,
// with random weights: what is measured is the backend, nothing above it.
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

template <typename T>
T must(Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "ops_bench: %s\n", result.status().to_string().c_str());
        std::exit(1);
    }
    return std::move(result).value();
}

/// Random values for the largest matrix, in the type that is stored.
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
    weights.head = pack(kVocabulary, kHidden);
    return weights;
}

std::size_t Weights::bytes() const {
    std::size_t total = head->bytes();
    for (const Layer& layer : layers) {
        total +=
            layer.qkv->bytes() + layer.out->bytes() + layer.gate_up->bytes() + layer.down->bytes();
    }
    return total;
}

template <typename T>
T* BenchModel::allocate(std::int64_t count) {
    buffers_.push_back(must(backend_.allocate(static_cast<std::size_t>(count) * sizeof(T))));
    T* data = static_cast<T*>(buffers_.back()->data());
    for (std::int64_t i = 0; i < count; ++i) data[i] = T{};
    return data;
}

BenchModel::BenchModel(Backend& backend, std::int32_t context)
    : backend_(backend),
      context_(context),
      sequence_blocks_((context + kBlockTokens - 1) / kBlockTokens),
      blocks_(std::max(kMaxBatch * sequence_blocks_, kPromptBlocks)) {
    page_bytes_ = backend.kv_block_bytes(kBlockTokens, kHeads, kHeadDim, kKvType);
    pages_ = allocate<std::byte>(static_cast<std::int64_t>(page_bytes_) * blocks_ * kLayers);
    x_ = allocate<float>(kMaxRows * kHidden);
    normed_ = allocate<float>(kMaxRows * kHidden);
    qkv_ = allocate<float>(kMaxRows * kQkv);
    mixed_ = allocate<float>(kMaxRows * kHidden);
    wide_ = allocate<float>(kMaxRows * 2 * kFfn);
    gated_ = allocate<float>(kMaxRows * kFfn);
    logits_ = allocate<float>(kMaxBatch * kVocabulary);
    ones_ = allocate<float>(kHidden);
    cos_ = allocate<float>(kMaxRows * kHeadDim / 2);
    sin_ = allocate<float>(kMaxRows * kHeadDim / 2);
    table_ = allocate<float>(kMaxRows * kHidden);
    workspace_ = allocate<std::byte>(
        static_cast<std::int64_t>(backend.matmul_workspace_bytes(kMaxRows, kFfn)));
    ids_ = allocate<std::int32_t>(kMaxRows);
    positions_ = allocate<std::int32_t>(kMaxRows);
    sequence_of_row_ = allocate<std::int32_t>(kMaxRows);
    best_ = allocate<std::int32_t>(kMaxBatch);
    block_offsets_ = allocate<std::int64_t>(kMaxBatch + 1);
    block_ids_ = allocate<std::uint32_t>(blocks_);
    for (std::int64_t i = 0; i < blocks_; ++i) block_ids_[i] = static_cast<std::uint32_t>(i);
    Random random(4);
    for (std::int64_t i = 0; i < kMaxRows * kHidden; ++i) {
        table_[i] = static_cast<float>(random.uniform() - 0.5);
    }
    for (std::int64_t i = 0; i < kMaxRows * kHeadDim / 2; ++i) cos_[i] = 0.8f, sin_[i] = 0.6f;
    for (std::int64_t i = 0; i < kHidden; ++i) ones_[i] = 1.0f;
    for (std::int32_t i = 0; i < kMaxRows; ++i) ids_[i] = i;
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
    timed(kind, [&] { backend_.matmul(args); });
}

void BenchModel::norm(const float* x, float* out, std::int64_t rows) {
    RmsNormArgs args;
    args.x = x;
    args.weight = ones_;
    args.out = out;
    args.rows = rows;
    args.width = args.x_stride = args.out_stride = kHidden;
    timed("rms_norm", [&] { backend_.rms_norm(args); });
}

void BenchModel::add(std::int64_t rows) {
    AddArgs args;
    args.x = x_;
    args.y = mixed_;
    args.count = rows * kHidden;
    timed("add", [&] { backend_.add(args); });
}

void BenchModel::attention(std::int64_t index, std::int64_t rows) {
    RopeArgs rope;
    rope.x = qkv_;
    rope.positions = positions_;
    rope.cos = cos_;
    rope.sin = sin_;
    rope.rows = rows;
    rope.heads = 2 * kHeads;  // q and k stand side by side
    rope.head_dim = rope.rotary_dim = kHeadDim;
    rope.row_stride = kQkv;
    timed("rope", [&] { backend_.rope(rope); });
    KvWriteArgs write;
    write.pages.base =
        pages_ + static_cast<std::size_t>(index) * page_bytes_ * static_cast<std::size_t>(blocks_);
    write.pages.block_bytes = static_cast<std::int64_t>(page_bytes_);
    write.pages.block_tokens = kBlockTokens;
    write.pages.kv_heads = kHeads;
    write.pages.head_dim = kHeadDim;
    write.pages.type = kKvType;
    write.batch.positions = positions_;
    write.batch.sequence_of_row = sequence_of_row_;
    write.batch.block_offsets = block_offsets_;
    write.batch.block_ids = block_ids_;
    write.batch.rows = rows;
    write.batch.sequences = sequences_;
    write.k = qkv_ + kHidden;
    write.v = qkv_ + 2 * kHidden;
    write.k_stride = write.v_stride = kQkv;
    timed("kv_write", [&] { backend_.kv_write(write); });
    AttentionArgs args;
    args.pages = write.pages;
    args.batch = write.batch;
    args.q = qkv_;
    args.q_stride = kQkv;
    args.out = normed_;
    args.heads = kHeads;
    args.scale = 0.125f;
    timed("attention", [&] { backend_.attention(args); });
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
    timed("gate", [&] { backend_.gate(gate); });
    matmul("matmul", *weights.down, gated_, rows, mixed_);
    add(rows);
}

void BenchModel::prefill(const Weights& weights, std::int32_t first, std::int32_t rows) {
    for (std::int32_t r = 0; r < rows; ++r) {
        positions_[r] = first + r;
        sequence_of_row_[r] = 0;
    }
    sequences_ = 1;
    block_offsets_[1] = kPromptBlocks;
    forward(weights, rows);
}

void BenchModel::decode(const Weights& weights, std::int32_t sequences) {
    for (std::int32_t r = 0; r < sequences; ++r) {
        positions_[r] = context_ - 1;
        sequence_of_row_[r] = r;
        block_offsets_[r + 1] = (r + 1) * sequence_blocks_;
    }
    sequences_ = sequences;
    forward(weights, sequences);
    norm(x_, normed_, sequences);
    matmul("lm_head", *weights.head, normed_, sequences, logits_);
    ArgmaxArgs argmax;
    argmax.x = logits_;
    argmax.out = best_;
    argmax.rows = sequences;
    argmax.width = kVocabulary;
    timed("argmax", [&] { backend_.argmax(argmax); });
}

void BenchModel::forward(const Weights& weights, std::int64_t rows) {
    EmbedArgs embed;
    embed.table = table_;
    embed.ids = ids_;
    embed.out = x_;
    embed.rows = rows;
    embed.hidden = kHidden;
    timed("embed", [&] { backend_.embed(embed); });
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
