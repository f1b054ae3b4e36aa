// Memory, matrices and paged sequences for the tests of backends. Everything goes through the
// backend's own copies, so the tests run unchanged on a backend whose memory the host cannot see.
#include "op_fixture.h"

#include <algorithm>
#include <numeric>

#include "tensor/dtype.h"

namespace molink::test {

void* OpFixture::put_as(ElementType type, std::vector<float>& values) {
    if (type == ElementType::f32) return put(values);
    std::vector<std::uint16_t> narrow;
    for (float& x : values) {
        narrow.push_back(type == ElementType::f16 ? f32_to_f16(x) : f32_to_bf16(x));
        x = reference_round(x, type);
    }
    return put(narrow);
}

std::vector<float> OpFixture::get_as(ElementType type, const void* from, std::int64_t count) {
    if (type == ElementType::f32) return get(static_cast<const float*>(from), count);
    std::vector<float> values;
    for (const std::uint16_t bits : get(static_cast<const std::uint16_t*>(from), count)) {
        values.push_back(type == ElementType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits));
    }
    return values;
}

std::vector<float> OpFixture::matmul(const PackedMatrix& weight, const std::vector<float>& x,
                                     std::int64_t rows, std::int64_t x_stride,
                                     std::int64_t y_stride) {
    MatmulArgs args;
    args.weight = &weight;
    args.x = put(x);
    float* y = out(rows * y_stride);
    args.y = y;
    args.rows = rows;
    args.x_stride = x_stride;
    args.y_stride = y_stride;
    args.workspace = garbage(backend_.matmul_workspace_bytes(rows, weight.k));
    stream_->matmul(args);
    return get(y, rows * y_stride);
}

TestMatrix::TestMatrix(OpFixture& fixture, std::int64_t n, std::int64_t k, DataType type,
                       std::int64_t parts) {
    const DataType stored = type == DataType::q8_0 ? DataType::f32 : type;
    widened = fixture.values(n * k);
    std::vector<std::uint16_t> narrow(widened.size());
    for (std::size_t i = 0; i < widened.size() && stored != DataType::f32; ++i) {
        const bool half = stored == DataType::f16;
        narrow[i] = half ? f32_to_f16(widened[i]) : f32_to_bf16(widened[i]);
        widened[i] = half ? f16_to_f32(narrow[i]) : bf16_to_f32(narrow[i]);
    }
    std::vector<MatrixSource> sources;
    for (std::int64_t part = 0; part < parts; ++part) {
        const std::int64_t begin = n * part / parts;
        MatrixSource source;
        source.type = stored;
        source.n = n * (part + 1) / parts - begin;
        source.k = k;
        source.data = stored == DataType::f32 ? static_cast<const void*>(widened.data() + begin * k)
                                              : narrow.data() + begin * k;
        sources.push_back(source);
    }
    auto result = fixture.backend().pack(sources.data(), sources.size(), type);
    REQUIRE(result);
    packed = std::move(*result);
    REQUIRE(packed->n == n);
    REQUIRE(packed->k == k);
    REQUIRE(packed->type == type);
    REQUIRE(packed->bytes() <= fixture.backend().packed_bytes(n, k, type));
}

PagedKv::PagedKv(OpFixture& fixture, KvShape shape, std::vector<std::int32_t> lengths)
    : fixture_(fixture), shape_(shape), lengths_(std::move(lengths)) {
    std::vector<std::int64_t> offsets{0};
    for (const std::int32_t length : lengths_) {
        std::vector<float> values = fixture.values(length * stride());
        for (float& x : values) x = reference_round(x, shape.activations);
        qkv_.push_back(std::move(values));
        offsets.push_back(offsets.back() + (length + shape.block_tokens - 1) / shape.block_tokens);
    }
    std::vector<std::uint32_t> ids(static_cast<std::size_t>(offsets.back()) + 3);
    std::iota(ids.begin(), ids.end(), 0u);
    for (std::size_t i = ids.size() - 1; i > 0; --i) {
        std::swap(ids[i], ids[fixture.random().below(i + 1)]);
    }
    pages_.block_tokens = shape.block_tokens;
    pages_.kv_heads = shape.kv_heads;
    pages_.head_dim = shape.head_dim;
    pages_.type = shape.type;
    const std::size_t bytes = fixture.backend().kv_block_bytes(shape.block_tokens, shape.kv_heads,
                                                               shape.head_dim, shape.type);
    pages_.block_bytes = static_cast<std::int64_t>(bytes);
    pages_.base = fixture.garbage(bytes * ids.size());
    block_offsets_ = fixture.put(offsets);
    block_ids_ = fixture.put(ids);
}

std::byte* PagedKv::gather(const std::vector<TokenRow>& rows) {
    std::vector<float> host;
    for (const TokenRow& row : rows) {
        const std::vector<float>& all = qkv_[static_cast<std::size_t>(row.sequence)];
        const auto begin = all.begin() + row.position * stride();
        host.insert(host.end(), begin, begin + stride());
    }
    return static_cast<std::byte*>(fixture_.put_as(shape_.activations, host));
}

BatchArgs PagedKv::batch(const std::vector<TokenRow>& rows) {
    std::vector<std::int32_t> positions;
    std::vector<std::int32_t> sequences;
    for (const TokenRow& row : rows) {
        positions.push_back(row.position);
        sequences.push_back(row.sequence);
    }
    BatchArgs args;
    args.longest = 1 + *std::max_element(positions.begin(), positions.end());
    args.positions = fixture_.put(positions);
    args.sequence_of_row = fixture_.put(sequences);
    args.block_offsets = block_offsets_;
    args.block_ids = block_ids_;
    args.rows = static_cast<std::int64_t>(rows.size());
    args.sequences = static_cast<std::int64_t>(lengths_.size());
    return args;
}

void PagedKv::write(const std::vector<TokenRow>& rows) {
    KvWriteArgs args;
    args.pages = pages_;
    args.batch = batch(rows);
    const std::int64_t element = element_bytes(shape_.activations);
    const std::byte* k = gather(rows) + row_width() * element;
    args.k = k;
    args.v = k + std::int64_t{shape_.kv_heads} * shape_.head_dim * element;
    args.type = shape_.activations;
    args.k_stride = stride();
    args.v_stride = stride();
    fixture_.stream().kv_write(args);
}

void PagedKv::set_key(const TokenRow& row, float value) {
    qkv_[static_cast<std::size_t>(row.sequence)]
        [static_cast<std::size_t>(row.position * stride() + row_width())] = value;
}

AttentionArgs PagedKv::attention_args() const {
    AttentionArgs args;
    args.pages = pages_;
    args.q_stride = stride();
    args.q_heads = shape_.q_heads;
    args.scale = shape_.sharpness / std::sqrt(static_cast<float>(shape_.head_dim));
    args.soft_cap = shape_.soft_cap;
    args.window = shape_.window;
    return args;
}

std::vector<float> PagedKv::attend(const std::vector<TokenRow>& rows) {
    AttentionArgs args = attention_args();
    args.batch = batch(rows);
    args.q = gather(rows);
    args.out = fixture_.out_as(shape_.activations, args.batch.rows * row_width());
    args.type = shape_.activations;
    fixture_.stream().attention(args);
    return fixture_.get_as(shape_.activations, args.out, args.batch.rows * row_width());
}

std::vector<double> PagedKv::reference(const std::vector<TokenRow>& rows) const {
    std::vector<DenseKv> dense(lengths_.size());
    const std::int64_t width = std::int64_t{shape_.kv_heads} * shape_.head_dim;
    for (std::size_t s = 0; s < lengths_.size(); ++s) {
        for (std::int64_t p = 0; p < lengths_[s]; ++p) {
            const float* k = qkv_[s].data() + p * stride() + row_width();
            for (std::int64_t i = 0; i < width; ++i) {
                dense[s].k.push_back(reference_round(k[i], shape_.type));
                dense[s].v.push_back(reference_round(k[width + i], shape_.type));
            }
        }
    }
    std::vector<float> q;
    std::vector<std::int32_t> positions;
    std::vector<std::int32_t> sequences;
    for (const TokenRow& row : rows) {
        const float* from =
            qkv_[static_cast<std::size_t>(row.sequence)].data() + row.position * stride();
        q.insert(q.end(), from, from + stride());
        positions.push_back(row.position);
        sequences.push_back(row.sequence);
    }
    AttentionArgs args = attention_args();
    args.q = q.data();
    args.batch.positions = positions.data();
    args.batch.sequence_of_row = sequences.data();
    args.batch.rows = static_cast<std::int64_t>(rows.size());
    return reference_attention(args, dense);
}

std::vector<TokenRow> PagedKv::all_rows() const {
    std::vector<TokenRow> rows;
    for (std::size_t s = 0; s < lengths_.size(); ++s) {
        for (std::int32_t p = 0; p < lengths_[s]; ++p) {
            rows.push_back({static_cast<std::int32_t>(s), p});
        }
    }
    return rows;
}

}  // namespace molink::test
