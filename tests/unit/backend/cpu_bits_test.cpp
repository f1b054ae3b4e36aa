// The CPU backend gives the same bits for any number of threads, on any SIMD target, for a row
// alone or among others, and for a prompt in one slice or in many. The results are compared op by
// op, so that a difference names its op.
#include <algorithm>

#include "backend/cpu/kernels.h"
#include "op_fixture.h"

namespace molink::test {
namespace {

constexpr DataType kTypes[] = {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0};

struct Named {
    std::string name;
    std::vector<float> values;
};

std::vector<float> run_gate(OpFixture& f, GateKind kind) {
    GateArgs args;
    args.rows = 3;
    args.width = 1001;
    args.gate_stride = 1001;
    args.kind = kind;
    args.gate = f.put(f.values(3003, -90, 90));
    float* out = f.out(3003);
    args.out = out;
    f.stream().gate(args);
    return f.get(out, 3003);
}

std::vector<float> run_rms_norm(OpFixture& f, std::int64_t width) {
    RmsNormArgs args;
    args.rows = 40;
    args.width = width;
    args.x_stride = width;
    args.out_stride = width;
    args.x = f.put(f.values(40 * width));
    args.weight = f.put(f.values(width));
    float* out = f.out(40 * width);
    args.out = out;
    f.stream().rms_norm(args);
    return f.get(out, 40 * width);
}

std::vector<float> run_rope(OpFixture& f, bool interleaved) {
    RopeArgs args;
    args.rows = 9;
    args.heads = 5;
    args.head_dim = 44;
    args.rotary_dim = 38;
    args.row_stride = 5 * 44;
    args.interleaved = interleaved;
    float* x = f.put(f.values(9 * 5 * 44));
    args.x = x;
    args.positions = f.put(std::vector<std::int32_t>{8, 7, 6, 5, 4, 3, 2, 1, 0});
    args.cos = f.put(f.values(9 * 19));
    args.sin = f.put(f.values(9 * 19));
    f.stream().rope(args);
    return f.get(x, 9 * 5 * 44);
}

std::vector<float> run_elementwise(OpFixture& f) {
    AddArgs add;
    add.count = 40001;
    add.scale = 0.37f;
    add.x = f.put(f.values(add.count));
    add.y = f.put(f.values(add.count));
    f.stream().add(add);
    ScaleCapArgs cap;
    cap.x = add.x;
    cap.count = add.count;
    cap.scale = 3.3f;
    cap.cap = 2.1f;
    f.stream().scale_cap(cap);
    return f.get(add.x, add.count);
}

/// Narrows values and widens them again. NaN is not among them, because its payload may differ.
std::vector<float> run_convert(OpFixture& f, ElementType type) {
    ConvertArgs args;
    args.count = 3001;
    args.in = f.put(f.values(args.count, -7e4, 7e4));
    args.out = f.garbage(6002);
    args.out_type = type;
    f.stream().convert(args);
    ConvertArgs back;
    back.count = args.count;
    back.in = args.out;
    back.in_type = type;
    float* to = f.out(back.count);
    back.out = to;
    f.stream().convert(back);
    return f.get(to, back.count);
}

/// Runs every op on values that are the same in every call.
std::vector<Named> run_everything(Backend& backend) {
    OpFixture f(backend, 77);
    std::vector<Named> all;
    for (const GateKind kind : {GateKind::silu, GateKind::gelu, GateKind::gelu_tanh, GateKind::relu,
                                GateKind::relu_squared}) {
        all.push_back({"gate " + std::to_string(static_cast<int>(kind)), run_gate(f, kind)});
    }
    for (const std::int64_t width : {1, 17, 100, 768, 1003}) {
        all.push_back({"rms_norm " + std::to_string(width), run_rms_norm(f, width)});
    }
    all.push_back({"rope", run_rope(f, false)});
    all.push_back({"rope interleaved", run_rope(f, true)});
    all.push_back({"add, scale_cap", run_elementwise(f)});
    all.push_back({"convert f16", run_convert(f, ElementType::f16)});
    all.push_back({"convert bf16", run_convert(f, ElementType::bf16)});
    for (const DataType type : kTypes) {
        const TestMatrix matrix(f, 331, 320, type);
        for (const std::int64_t rows : {1, 2, 3, 5, 8, 13, 64}) {
            const std::vector<float> x = f.values(rows * 320);
            all.push_back({"matmul " + std::to_string(static_cast<int>(type)) + " rows " +
                               std::to_string(rows),
                           f.matmul(*matrix.packed, x, rows, 320, 331)});
        }
    }
    for (const ElementType type : {ElementType::f32, ElementType::f16}) {
        for (const std::int32_t head_dim : {40, 64}) {
            KvShape shape;
            shape.type = type;
            shape.head_dim = head_dim;
            shape.soft_cap = head_dim == 40 ? 1.5f : 0.0f;
            shape.window = head_dim == 40 ? 21 : 0;
            PagedKv kv(f, shape, {70, 1, 33});
            kv.write(kv.all_rows());
            all.push_back({"attention " + std::to_string(head_dim), kv.attend(kv.all_rows())});
        }
    }
    return all;
}

void require_same(const std::vector<Named>& got, const std::vector<Named>& want) {
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
        INFO(want[i].name);
        REQUIRE(same_bits(got[i].values, want[i].values));
    }
}

/// Selects the best SIMD target again at the end of a test.
struct TargetGuard {
    ~TargetGuard() { cpu::use_simd_target(""); }
};

TEST_CASE("the bits do not depend on the number of threads") {
    const auto one = run_everything(*backend_of("cpu", 1));
    for (const int threads : {2, 3, 7}) {
        INFO(threads << " threads");
        require_same(run_everything(*backend_of("cpu", threads)), one);
    }
}

TEST_CASE("the bits do not depend on the SIMD target") {
    const TargetGuard guard;
    const auto best = run_everything(*backend_of("cpu", 1));
    REQUIRE(!cpu::simd_targets().empty());
    for (const std::string_view target : cpu::simd_targets()) {
        cpu::use_simd_target(target);
        INFO("target " << std::string(target));
        REQUIRE(cpu::simd_target() == target);
        const std::unique_ptr<Backend> backend = backend_of("cpu", 2);
        REQUIRE(std::string(backend->description()).find(target) == 0);
        require_same(run_everything(*backend), best);
    }
}

TEST_CASE("a row's product does not depend on the rows beside it") {
    const TargetGuard guard;
    for (const std::string_view target : cpu::simd_targets()) {
        cpu::use_simd_target(target);
        for (const DataType type : kTypes) {
            const std::unique_ptr<Backend> backend = backend_of("cpu", 2);
            OpFixture f(*backend, 5);
            const std::int64_t n = 331;
            const std::int64_t k = 352;
            const TestMatrix matrix(f, n, k, type);
            const std::vector<float> x = f.values(64 * k);
            std::vector<float> alone;
            for (std::int64_t r = 0; r < 64; ++r) {
                const std::vector<float> row(x.begin() + r * k, x.begin() + (r + 1) * k);
                const auto y = f.matmul(*matrix.packed, row, 1, k, n);
                alone.insert(alone.end(), y.begin(), y.end());
            }
            for (const std::int64_t rows : {2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 31, 64}) {
                INFO("target " << std::string(target) << ", type " << static_cast<int>(type) << ", "
                               << rows << " rows");
                const std::vector<float> want(alone.begin(), alone.begin() + rows * n);
                const std::vector<float> some(x.begin(), x.begin() + rows * k);
                REQUIRE(same_bits(f.matmul(*matrix.packed, some, rows, k, n), want));
            }
        }
    }
}

TEST_CASE("a part of a stacked matrix gives the same bits as the part alone") {
    for (const DataType type : kTypes) {
        const std::unique_ptr<Backend> backend = backend_of("cpu", 1);
        OpFixture f(*backend, 6);
        OpFixture again(*backend, 6);
        const TestMatrix one(f, 190, 96, type, 1);
        const TestMatrix stacked(again, 190, 96, type, 4);
        const std::vector<float> x = f.values(5 * 96);
        REQUIRE(same_bits(f.matmul(*one.packed, x, 5, 96, 190),
                          f.matmul(*stacked.packed, x, 5, 96, 190)));
    }
}

TEST_CASE("attention in one batch equals attention in slices, with blocks of any size") {
    const std::unique_ptr<Backend> backend = backend_of("cpu", 2);
    for (const ElementType type : {ElementType::f32, ElementType::f16}) {
        KvShape shape;
        shape.type = type;
        shape.q_heads = 6;
        shape.kv_heads = 3;
        shape.head_dim = 40;
        OpFixture whole_fixture(*backend, 9);
        PagedKv whole(whole_fixture, shape, {131, 20, 77});
        whole.write(whole.all_rows());
        const std::vector<TokenRow> rows = whole.all_rows();
        const std::vector<float> want = whole.attend(rows);
        for (const std::int32_t block_tokens : {16, 32, 64}) {
            for (const std::size_t slice : {std::size_t{1}, std::size_t{7}, std::size_t{64}}) {
                shape.block_tokens = block_tokens;
                OpFixture f(*backend, 9);
                PagedKv kv(f, shape, {131, 20, 77});
                std::vector<float> got;
                for (std::size_t begin = 0; begin < rows.size(); begin += slice) {
                    const std::size_t end = std::min(begin + slice, rows.size());
                    const std::vector<TokenRow> part(
                        rows.begin() + static_cast<std::ptrdiff_t>(begin),
                        rows.begin() + static_cast<std::ptrdiff_t>(end));
                    kv.write(part);  // later rows are still NaN
                    const std::vector<float> out = kv.attend(part);
                    got.insert(got.end(), out.begin(), out.end());
                }
                INFO("blocks of " << block_tokens << ", slices of " << slice);
                REQUIRE(same_bits(got, want));
            }
        }
    }
}

TEST_CASE("tokens decoded together equal tokens decoded alone") {
    const std::unique_ptr<Backend> backend = backend_of("cpu", 3);
    OpFixture f(*backend, 10);
    KvShape shape;
    shape.q_heads = 8;
    shape.kv_heads = 2;
    PagedKv kv(f, shape, {5, 64, 100, 17, 16});
    kv.write(kv.all_rows());
    const std::vector<TokenRow> last{{0, 4}, {1, 63}, {2, 99}, {3, 16}, {4, 15}};
    const std::vector<float> together = kv.attend(last);
    std::vector<float> alone;
    for (const TokenRow& row : last) {
        const std::vector<float> out = kv.attend({row});
        alone.insert(alone.end(), out.begin(), out.end());
    }
    REQUIRE(same_bits(together, alone));
}

TEST_CASE("a token that is written again leaves the same bits") {
    const std::unique_ptr<Backend> backend = backend_of("cpu", 1);
    OpFixture f(*backend, 11);
    PagedKv kv(f, KvShape{}, {40});
    kv.write(kv.all_rows());
    const std::vector<float> before = kv.attend({{0, 39}});
    kv.write({{0, 20}, {0, 21}, {0, 39}});
    REQUIRE(same_bits(kv.attend({{0, 39}}), before));
}

}  // namespace
}  // namespace molink::test
