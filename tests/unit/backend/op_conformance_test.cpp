// Compares every op of every compiled backend, at odd shapes, with naive references in double.
// Tolerances are a few units of float rounding, times the length of a sum. They are small enough to
// detect a wrong index, a missing term or a swapped factor, and a GPU passes them, too.
#include <algorithm>
#include <cmath>

#include "op_fixture.h"
#include "tensor/dtype.h"

namespace molink::test {
namespace {

constexpr std::int64_t kWidths[] = {1, 3, 7, 15, 16, 17, 33, 64, 100, 768, 1001};
constexpr double kTight = 2e-6;

TEST_CASE("embed") {
    on_every_backend([](OpFixture& f) {
        for (const ElementType type : {ElementType::f32, ElementType::f16, ElementType::bf16}) {
            for (const std::int64_t hidden : kWidths) {
                const std::vector<float> table = f.values(11 * hidden, -3, 3);
                std::vector<std::uint16_t> narrow;
                for (const float x : table) {
                    narrow.push_back(type == ElementType::f16 ? f32_to_f16(x) : f32_to_bf16(x));
                }
                const std::vector<std::int32_t> ids{10, 0, 3, 3, 7};
                EmbedArgs args;
                args.table_type = type;
                args.rows = 5;
                args.hidden = hidden;
                args.scale = hidden % 2 == 0 ? 1.0f : 1.75f;
                EmbedArgs host = args;
                host.table = type == ElementType::f32 ? static_cast<const void*>(table.data())
                                                      : narrow.data();
                host.ids = ids.data();
                args.table = type == ElementType::f32 ? static_cast<const void*>(f.put(table))
                                                      : f.put(narrow);
                args.ids = f.put(ids);
                args.out = f.out(5 * hidden);
                f.stream().embed(args);
                require_close(f.get(args.out, 5 * hidden), reference_embed(host), kTight);
            }
        }
    });
}

void check_rms_norm(OpFixture& f, RmsNormArgs args) {
    const bool in_place = args.x_stride == args.out_stride;
    const std::int64_t width = args.groups * args.width;
    std::vector<float> x = f.values(args.rows * args.x_stride, -4, 4);
    const std::vector<float> weight = f.values(args.width, 0.5, 1.5);
    void* device = f.put_as(args.x_type, x);
    RmsNormArgs host = args;
    host.x = x.data();
    host.weight = weight.data();
    args.weight = f.put(weight);
    args.x = device;
    args.out = in_place ? device : f.out_as(args.out_type, args.rows * args.out_stride);
    f.stream().rms_norm(args);
    const std::vector<float> all = f.get_as(args.out_type, args.out, args.rows * args.out_stride);
    std::vector<float> got;
    for (std::int64_t r = 0; r < args.rows; ++r) {
        const auto begin = all.begin() + r * args.out_stride;
        got.insert(got.end(), begin, begin + width);
        if (!in_place) continue;
        REQUIRE(*(begin + width) == x[static_cast<std::size_t>(r * args.x_stride + width)]);
    }
    require_close(got, reference_rms_norm(host), tolerance_of(args.out_type, 4e-6));
}

TEST_CASE("rms_norm") {
    on_every_backend([](OpFixture& f) {
        for (const ElementType x_type : f.activation_types()) {
            for (const ElementType out_type : f.activation_types()) {
                for (const std::int64_t width : kWidths) {
                    for (const std::int64_t groups : {1, 3}) {
                        for (const bool in_place : {false, true}) {
                            if (in_place && x_type != out_type) continue;
                            RmsNormArgs args;
                            args.rows = 6;
                            args.groups = groups;
                            args.width = width;
                            args.x_stride = groups * width + 5;
                            args.out_stride = in_place ? args.x_stride : groups * width;
                            args.x_type = x_type;
                            args.out_type = out_type;
                            check_rms_norm(f, args);
                        }
                    }
                }
            }
        }
    });
}

TEST_CASE("a row whose squares overflow, or that is not a number, stays visible") {
    on_every_backend([](OpFixture& f) {
        for (const float bad : {1e20f, std::nanf(""), INFINITY}) {
            std::vector<float> x = f.values(3 * 40);
            x[40 + 33] = bad;
            RmsNormArgs args;
            args.rows = 3;
            args.width = args.x_stride = args.out_stride = 40;
            args.x = f.put(x);
            args.weight = f.put(f.values(40));
            args.out = f.out(3 * 40);
            f.stream().rms_norm(args);
            const auto out = f.get(static_cast<const float*>(args.out), 3 * 40);
            for (std::size_t i = 0; i < out.size(); ++i) {
                REQUIRE(std::isnan(out[i]) == (i / 40 == 1));
            }
        }
        for (const ElementType type : {ElementType::f32, ElementType::f16, ElementType::bf16}) {
            ConvertArgs args;
            args.in = f.garbage(40 * sizeof(float));  // NaN with every bit set
            args.out = f.out(40);
            args.out_type = type;
            args.count = 40;
            f.stream().convert(args);
            for (const float x : f.get_as(type, args.out, 40)) REQUIRE(std::isnan(x));
        }
        for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0}) {
            const TestMatrix matrix(f, 70, 64, type);
            for (const std::size_t at : {0u, 31u, 32u, 63u}) {
                for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
                    std::vector<float> x = f.values(5 * 64);
                    x[2 * 64 + at] = bad;
                    const auto y = f.matmul(*matrix.packed, x, 5, 64, 70);
                    for (std::size_t i = 0; i < y.size(); ++i) {
                        REQUIRE(std::isfinite(y[i]) == (i / 70 != 2));
                    }
                }
            }
        }
    });
}

TEST_CASE("add and add_bias") {
    on_every_backend([](OpFixture& f) {
        for (const ElementType type : f.activation_types()) {
            for (const std::int64_t count : {1, 15, 16, 100, 16384, 40001}) {
                std::vector<float> x = f.values(count);
                std::vector<float> y = f.values(count);
                AddArgs args;
                args.count = count;
                args.scale = 0.3f;
                args.y_type = type;
                args.x = f.put(x);
                args.y = f.put_as(type, y);
                AddArgs host = args;
                host.x = x.data();
                host.y = y.data();
                f.stream().add(args);
                require_close(f.get(args.x, count), reference_add(host), kTight);
            }
            for (const std::int64_t width : kWidths) {
                std::vector<float> x = f.values(5 * width);
                const std::vector<float> bias = f.values(width);
                AddBiasArgs args;
                args.rows = 5;
                args.width = width;
                args.x_type = type;
                args.x = f.put_as(type, x);
                args.bias = f.put(bias);
                AddBiasArgs host = args;
                host.x = x.data();
                host.bias = bias.data();
                f.stream().add_bias(args);
                require_close(f.get_as(type, args.x, 5 * width), reference_add_bias(host),
                              tolerance_of(type, kTight));
            }
        }
    });
}

void check_gate(OpFixture& f, GateKind kind, std::int64_t width, ElementType type) {
    const bool gated = width % 3 != 0;
    GateArgs args;
    args.rows = 4;
    args.width = width;
    args.gate_stride = 2 * width + 1;
    args.up_stride = 2 * width + 1;
    args.kind = kind;
    args.type = type;
    std::vector<float> both = f.values(4 * args.gate_stride, -9, 9);
    const auto* device = static_cast<const std::byte*>(f.put_as(type, both));
    GateArgs host = args;
    host.gate = both.data();
    host.up = gated ? both.data() + width : nullptr;
    args.gate = device;
    args.up = gated ? device + width * element_bytes(type) : nullptr;
    args.out = f.out_as(type, 4 * width);
    f.stream().gate(args);
    INFO("kind " << static_cast<int>(kind) << ", width " << width);
    require_close(f.get_as(type, args.out, 4 * width), reference_gate(host),
                  tolerance_of(type, 5e-6));
}

TEST_CASE("gate") {
    on_every_backend([](OpFixture& f) {
        for (const GateKind kind : {GateKind::silu, GateKind::gelu, GateKind::gelu_tanh,
                                    GateKind::relu, GateKind::relu_squared}) {
            for (const std::int64_t width : kWidths) {
                for (const ElementType type : f.activation_types())
                    check_gate(f, kind, width, type);
            }
        }
    });
}

TEST_CASE("gate at the ends of the range") {
    on_every_backend([](OpFixture& f) {
        const std::vector<float> x{-1e30f, -200,  -88, -50, -1e-30f, 0,
                                   1e-30f, 1e-3f, 50,  88,  200,     1e30f};
        for (const GateKind kind : {GateKind::silu, GateKind::gelu, GateKind::gelu_tanh}) {
            GateArgs args;
            args.rows = 1;
            args.width = static_cast<std::int64_t>(x.size());
            args.gate_stride = args.width;
            args.kind = kind;
            GateArgs host = args;
            host.gate = x.data();
            args.gate = f.put(x);
            float* out = f.out(args.width);
            args.out = out;
            f.stream().gate(args);
            require_close(f.get(out, args.width), reference_gate(host), 5e-5);
        }
    });
}

/// Returns the cosines and the sines of 50 positions, [50, half] each.
std::pair<std::vector<float>, std::vector<float>> rope_angles(std::int64_t half) {
    std::vector<float> cos;
    std::vector<float> sin;
    for (std::int64_t i = 0; i < 50 * half; ++i) {
        const double angle =
            static_cast<double>(i / half) *
            std::pow(10000.0, -static_cast<double>(i % half) / static_cast<double>(half));
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
    }
    return {cos, sin};
}

void check_rope(OpFixture& f, RopeArgs args) {
    const auto [cos, sin] = rope_angles(args.rotary_dim / 2);
    const std::vector<std::int32_t> positions{0, 1, 49, 17, 17};
    args.rows = 5;
    args.heads = 3;
    args.row_stride = 3 * args.head_dim + 9;
    std::vector<float> x = f.values(5 * args.row_stride);
    void* device = f.put_as(args.x_type, x);
    RopeArgs host = args;
    host.x = x.data();
    host.positions = positions.data();
    host.cos = cos.data();
    host.sin = sin.data();
    args.x = device;
    args.positions = f.put(positions);
    args.cos = f.put(cos);
    args.sin = f.put(sin);
    f.stream().rope(args);
    const std::vector<float> all = f.get_as(args.x_type, device, 5 * args.row_stride);
    std::vector<float> got;
    for (std::int64_t r = 0; r < 5; ++r) {
        const auto begin = all.begin() + r * args.row_stride;
        got.insert(got.end(), begin, begin + 3 * args.head_dim);
        REQUIRE(*(begin + args.row_stride - 1) ==
                x[static_cast<std::size_t>((r + 1) * args.row_stride - 1)]);
    }
    require_close(got, reference_rope(host), tolerance_of(args.x_type, kTight));
}

TEST_CASE("rope") {
    on_every_backend([](OpFixture& f) {
        struct Shape {
            std::int64_t head_dim, rotary_dim;
        };
        for (const Shape shape :
             {Shape{16, 16}, {40, 40}, {64, 64}, {64, 16}, {80, 32}, {128, 128}, {6, 2}}) {
            for (const bool interleaved : {false, true}) {
                for (const ElementType type : f.activation_types()) {
                    RopeArgs args;
                    args.head_dim = shape.head_dim;
                    args.rotary_dim = shape.rotary_dim;
                    args.interleaved = interleaved;
                    args.x_type = type;
                    check_rope(f, args);
                }
            }
        }
    });
}

TEST_CASE("gather_rows") {
    on_every_backend([](OpFixture& f) {
        for (const std::int64_t width : kWidths) {
            const std::vector<float> x = f.values(9 * width);
            GatherRowsArgs args;
            args.x = f.put(x);
            args.wanted_rows = f.put(std::vector<std::int32_t>{8, 0, 0, 4});
            args.rows = 4;
            args.width = width;
            args.out = f.out(4 * width);
            f.stream().gather_rows(args);
            const std::vector<float> got = f.get(args.out, 4 * width);
            std::vector<float> want;
            for (const std::int64_t row : {8, 0, 0, 4}) {
                want.insert(want.end(), x.begin() + row * width, x.begin() + (row + 1) * width);
            }
            REQUIRE(same_bits(got, want));
        }
    });
}

/// Returns values that are hard to round: ties, subnormals, overflow, infinities.
std::vector<float> hard_values(OpFixture& f) {
    std::vector<float> x = f.values(1000, -70000, 70000);
    for (const float tiny : f.values(1000, -1e-4, 1e-4)) x.push_back(tiny);
    for (const float tiny : f.values(300, -1e-7, 1e-7)) x.push_back(tiny);
    for (std::uint32_t i = 0; i < 64; ++i) {
        x.push_back(std::bit_cast<float>(0x3f800000u + (i << 11)));  // ties of f16
        x.push_back(std::bit_cast<float>(0x3f800000u + (i << 14)));  // ties of bf16
        x.push_back(static_cast<float>(i) * 0x1.0p-26f);             // subnormals of f16
        x.push_back(std::bit_cast<float>(0x477fe000u + (i << 8)));   // about to overflow in f16
    }
    for (const float special :
         {0.0f, -0.0f, 65504.0f, 65520.0f, 1e38f, -1e38f, INFINITY, -INFINITY}) {
        x.push_back(special);
    }
    return x;
}

TEST_CASE("convert rounds to nearest even and widens exactly") {
    on_every_backend([](OpFixture& f) {
        const std::vector<float> x = hard_values(f);
        for (const ElementType type : {ElementType::f16, ElementType::bf16}) {
            for (const std::size_t count : {x.size(), std::size_t{1}, std::size_t{13}}) {
                ConvertArgs narrow;
                narrow.in = f.put(x);
                narrow.out_type = type;
                narrow.count = static_cast<std::int64_t>(count);
                auto* bits = reinterpret_cast<std::uint16_t*>(f.garbage(2 * count + 2));
                narrow.out = bits;
                f.stream().convert(narrow);
                const auto got = f.get(bits, narrow.count + 1);
                REQUIRE(got[count] == 0xffff);
                ConvertArgs wide;
                wide.in = bits;
                wide.in_type = type;
                wide.count = narrow.count;
                float* back = f.out(narrow.count);
                wide.out = back;
                f.stream().convert(wide);
                const std::vector<float> widened = f.get(back, narrow.count);
                for (std::size_t i = 0; i < count; ++i) {
                    const bool half = type == ElementType::f16;
                    const std::uint16_t want = half ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
                    INFO(x[i]);
                    if (got[i] != want) REQUIRE(got[i] == want);
                    const float value = half ? f16_to_f32(want) : bf16_to_f32(want);
                    if (widened[i] != value) REQUIRE(widened[i] == value);
                }
            }
        }
    });
}

TEST_CASE("convert between equal types copies") {
    on_every_backend([](OpFixture& f) {
        const std::vector<float> x = f.values(37);
        ConvertArgs args;
        args.in = f.put(x);
        float* to = f.out(37);
        args.out = to;
        args.count = 37;
        f.stream().convert(args);
        REQUIRE(same_bits(f.get(to, 37), x));
    });
}

TEST_CASE("scale_cap") {
    on_every_backend([](OpFixture& f) {
        for (const std::int64_t count : {1, 15, 16, 33, 1001}) {
            for (const float cap : {0.0f, 30.0f, 0.5f}) {
                std::vector<float> x = f.values(count, -60, 60);
                ScaleCapArgs args;
                args.count = count;
                args.scale = 0.7f;
                args.cap = cap;
                ScaleCapArgs host = args;
                host.x = x.data();
                args.x = f.put(x);
                f.stream().scale_cap(args);
                require_close(f.get(args.x, count), reference_scale_cap(host), 3e-6);
            }
        }
    });
}

TEST_CASE("argmax takes the lowest index among equals and refuses what is not a number") {
    on_every_backend([](OpFixture& f) {
        for (const std::int64_t width : {1, 2, 15, 16, 17, 100, 32003}) {
            std::vector<float> x = f.values(7 * width);
            const auto at = [&](std::int64_t row, std::int64_t i) -> float& {
                return x[static_cast<std::size_t>(row * width + i)];
            };
            for (std::int64_t i = 0; i < width; ++i) at(1, i) = -7.0f;  // all equal
            at(2, width - 1) = 5.0f;                                    // the last
            at(3, 0) = 5.0f;                                            // the first
            at(4, width / 2) = 5.0f;
            at(4, width - 1) = 5.0f;
            for (std::int64_t i = 0; i < width; ++i) at(5, i) = -3.0e38f;
            at(0, width - 1) = std::nanf("");
            at(6, width / 2) = -INFINITY;
            ArgmaxArgs args;
            args.rows = 7;
            args.width = width;
            ArgmaxArgs host = args;
            host.x = x.data();
            args.x = f.put(x);
            args.out = reinterpret_cast<std::int32_t*>(f.garbage(7 * 4));
            f.stream().argmax(args);
            REQUIRE(f.get(args.out, 7) == reference_argmax(host));
            REQUIRE(f.get(args.out, 7).front() == -1);
            REQUIRE(f.get(args.out, 7).back() == -1);
        }
    });
}

TEST_CASE("matmul") {
    struct Shape {
        std::int64_t n, k, parts;
    };
    on_every_backend([](OpFixture& f) {
        for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0}) {
            for (const Shape shape : {Shape{1, 32, 1},
                                      {63, 96, 2},
                                      {64, 64, 1},
                                      {65, 32, 3},
                                      {200, 160, 3},
                                      {129, 1056, 1},
                                      {17, 33, 1},
                                      {70, 1, 1},
                                      {130, 257, 2}}) {
                if (type == DataType::q8_0 && shape.k % 32 != 0) continue;
                const TestMatrix matrix(f, shape.n, shape.k, type, shape.parts);
                for (const std::int64_t rows : {1, 2, 3, 4, 5, 7, 8, 12, 13, 25, 40}) {
                    const std::vector<float> x = f.values(rows * shape.k, -2, 2);
                    ReferenceMatmul host;
                    host.x = x.data();
                    host.w = matrix.widened.data();
                    host.rows = rows;
                    host.n = shape.n;
                    host.k = shape.k;
                    INFO("type " << static_cast<int>(type) << " rows " << rows << " n " << shape.n
                                 << " k " << shape.k);
                    const auto got = f.matmul(*matrix.packed, x, rows, shape.k, shape.n);
                    const auto want =
                        type == DataType::q8_0 ? reference_matmul_q8(host) : reference_matmul(host);
                    require_close(got, want, 4e-6 * std::sqrt(static_cast<double>(shape.k)));
                }
            }
        }
    });
}

TEST_CASE("matmul reads and writes every type of activations") {
    on_every_backend([](OpFixture& f) {
        for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0}) {
            const TestMatrix matrix(f, 100, 96, type);
            for (const ElementType x_type : f.activation_types()) {
                for (const ElementType y_type : f.activation_types()) {
                    std::vector<float> x = f.values(5 * 96, -2, 2);
                    MatmulArgs args;
                    args.weight = matrix.packed.get();
                    args.x = f.put_as(x_type, x);
                    args.y = f.out_as(y_type, 5 * 100);
                    args.rows = 5;
                    args.x_stride = 96;
                    args.y_stride = 100;
                    args.workspace = f.garbage(f.backend().matmul_workspace_bytes(5, 96));
                    args.x_type = x_type;
                    args.y_type = y_type;
                    f.stream().matmul(args);
                    const ReferenceMatmul host{x.data(), matrix.widened.data(), 5, 100, 96};
                    const auto want =
                        type == DataType::q8_0 ? reference_matmul_q8(host) : reference_matmul(host);
                    require_close(f.get_as(y_type, args.y, 5 * 100), want,
                                  tolerance_of(y_type, 4e-5));
                }
            }
        }
    });
}

TEST_CASE("matmul honours strides and writes nothing but its outputs") {
    on_every_backend([](OpFixture& f) {
        for (const DataType type : {DataType::f32, DataType::bf16, DataType::q8_0}) {
            const TestMatrix matrix(f, 70, 64, type);
            const std::vector<float> x = f.values(5 * 64);
            std::vector<float> spread(5 * 100, NAN);
            for (std::size_t r = 0; r < 5; ++r) {
                std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(r * 64), 64,
                            spread.begin() + static_cast<std::ptrdiff_t>(r * 100));
            }
            const auto dense = f.matmul(*matrix.packed, x, 5, 64, 70);
            const auto wide = f.matmul(*matrix.packed, spread, 5, 100, 83);
            for (std::size_t r = 0; r < 5; ++r) {
                for (std::size_t i = 0; i < 83; ++i) {
                    const float got = wide[r * 83 + i];
                    if (i < 70) REQUIRE(got == dense[r * 70 + i]);
                    if (i >= 70) REQUIRE(std::isnan(got));
                }
            }
        }
    });
}

TEST_CASE("matmul with zero rows of activations or zero weights") {
    on_every_backend([](OpFixture& f) {
        for (const DataType type : {DataType::f32, DataType::q8_0}) {
            const TestMatrix matrix(f, 65, 64, type);
            for (const float y :
                 f.matmul(*matrix.packed, std::vector<float>(64, 0.0f), 1, 64, 65)) {
                REQUIRE(y == 0.0f);
            }
            const std::vector<float> zeros(65 * 64, 0.0f);
            MatrixSource source{zeros.data(), DataType::f32, 65, 64};
            auto packed = f.backend().pack(&source, 1, type);
            REQUIRE(packed);
            for (const float y : f.matmul(**packed, f.values(64), 1, 64, 65)) REQUIRE(y == 0.0f);
        }
    });
}

TEST_CASE("a matrix of parts of different types gives the results of each part alone") {
    on_every_backend([](OpFixture& f) {
        constexpr std::int64_t kWidth = 96;
        constexpr std::int64_t kRows = 3;
        const TestMatrix half(f, 70, kWidth, DataType::f16);
        const TestMatrix brain(f, 5, kWidth, DataType::bf16);
        const TestMatrix full(f, 130, kWidth, DataType::f32);
        std::vector<std::uint16_t> half_bits;
        for (const float x : half.widened) half_bits.push_back(f32_to_f16(x));
        std::vector<std::uint16_t> brain_bits;
        for (const float x : brain.widened) brain_bits.push_back(f32_to_bf16(x));
        const std::vector<MatrixSource> parts{{half_bits.data(), DataType::f16, 70, kWidth},
                                              {brain_bits.data(), DataType::bf16, 5, kWidth},
                                              {full.widened.data(), DataType::f32, 130, kWidth}};
        auto packed = f.backend().pack(parts.data(), parts.size(), DataType::f32);
        REQUIRE(packed);
        REQUIRE((*packed)->n == 205);
        const std::vector<float> x = f.values(kRows * kWidth);
        const std::vector<float> together = f.matmul(**packed, x, kRows, kWidth, 205);
        std::int64_t column = 0;
        for (const TestMatrix* part : {&half, &brain, &full}) {
            const std::int64_t n = part->packed->n;
            const std::vector<float> alone = f.matmul(*part->packed, x, kRows, kWidth, n);
            for (std::int64_t row = 0; row < kRows; ++row) {
                const auto begin = together.begin() + row * 205 + column;
                const auto own = alone.begin() + row * n;
                REQUIRE(same_bits({begin, begin + n}, {own, own + n}));
            }
            column += n;
        }
        auto quantised = f.backend().pack(parts.data(), parts.size(), DataType::q8_0);
        REQUIRE(quantised);
        REQUIRE((*quantised)->n == 205);
    });
}

TEST_CASE("pack refuses matrices that it cannot store") {
    on_every_backend([](OpFixture& f) {
        const std::vector<float> data(64 * 33, 1.0f);
        const auto code = [&](std::vector<MatrixSource> parts, DataType type) {
            return f.backend().pack(parts.data(), parts.size(), type).status().code();
        };
        const auto invalid = StatusCode::invalid_argument;
        REQUIRE(code({}, DataType::f32) == invalid);
        REQUIRE(code({{data.data(), DataType::f32, 64, 33}}, DataType::q8_0) == invalid);
        REQUIRE(code({{data.data(), DataType::f32, 64, 33}}, DataType::f16) == invalid);
        REQUIRE(code({{data.data(), DataType::i32, 64, 33}}, DataType::i32) == invalid);
        REQUIRE(code({{data.data(), DataType::f32, 0, 33}}, DataType::f32) == invalid);
        REQUIRE(code({{data.data(), DataType::f32, 3, 33}, {data.data(), DataType::f32, 3, 32}},
                     DataType::f32) == invalid);
        REQUIRE(code({{data.data(), DataType::f32, 3, 32}, {data.data(), DataType::bf16, 3, 32}},
                     DataType::bf16) == invalid);
        REQUIRE(code({{data.data(), DataType::f32, 3, 32}, {data.data(), DataType::i32, 3, 32}},
                     DataType::f32) == invalid);
        REQUIRE(code({{data.data(), DataType::f32, 64, 33}}, DataType::f32) == StatusCode::ok);
    });
}

}  // namespace
}  // namespace molink::test
