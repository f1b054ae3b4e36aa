// Ops that work on one row or one range of values at a time: norm, gate, rope, conversions and the
// small ones. Sums run over 16 virtual lanes (lane i adds elements i, i + 16, ...), so vectors of
// 4, 8 or 16 give the same bits. Tails are padded with zeros and never added in another order.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/cpu/kernels.h"
#include "base/float_bits.h"
#include "tensor/dtype.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "backend/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace molink::cpu::HWY_NAMESPACE {

using F32 = hn::CappedTag<float, 16>;
constexpr std::size_t kLanes = hn::MaxLanes(F32());

/// Calls body(offset, size) for the vectors of [0, count). `size` is kLanes, or less for the last
/// vector.
template <class Body>
HWY_INLINE void for_vectors(std::size_t count, const Body& body) {
    std::size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) body(i, kLanes);
    if (i < count) body(i, count - i);
}

HWY_INLINE hn::Vec<F32> load_some(const float* from, std::size_t count) {
    const F32 d;
    if (count >= kLanes) return hn::LoadU(d, from);
    HWY_ALIGN float padded[kLanes] = {};
    std::memcpy(padded, from, count * sizeof(float));
    return hn::Load(d, padded);
}

HWY_INLINE void store_some(hn::Vec<F32> value, float* to, std::size_t count) {
    const F32 d;
    if (count >= kLanes) {
        hn::StoreU(value, d, to);
        return;
    }
    HWY_ALIGN float padded[kLanes];
    hn::Store(value, d, padded);
    std::memcpy(to, padded, count * sizeof(float));
}

void rms_norm(const RmsNormArgs& args, std::int64_t row, std::int64_t group) {
    const F32 d;
    const float* x = floats(args.x) + row * args.x_stride + group * args.width;
    float* out = floats(args.out) + row * args.out_stride + group * args.width;
    const auto width = static_cast<std::size_t>(args.width);
    HWY_ALIGN float lanes[16] = {};
    std::size_t i = 0;
    for (; i < width; i += 16) {
        for (std::size_t v = 0; v < 16; v += kLanes) {
            if (i + v >= width) break;
            const auto value = load_some(x + i + v, width - i - v);
            hn::Store(hn::MulAdd(value, value, hn::Load(d, lanes + v)), d, lanes + v);
        }
    }
    const float mean = sum16(lanes) / static_cast<float>(width);
    // Squares that overflow must not turn the row into zeros, which look like numbers.
    const bool finite = mean <= std::numeric_limits<float>::max();
    const auto scale = hn::Set(d, finite ? 1.0f / std::sqrt(mean + args.epsilon)
                                         : std::numeric_limits<float>::quiet_NaN());
    for_vectors(width, [&](std::size_t at, std::size_t count) HWY_ATTR {
        const auto value = hn::Mul(load_some(x + at, count), scale);
        store_some(hn::Mul(value, load_some(args.weight + at, count)), out + at, count);
    });
}

HWY_INLINE hn::Vec<F32> activate(GateKind kind, hn::Vec<F32> x) {
    const F32 d;
    const auto one = hn::Set(d, 1.0f);
    const auto half = hn::Set(d, 0.5f);
    switch (kind) {
        case GateKind::silu: return hn::Div(x, hn::Add(one, exp_of(d, hn::Neg(x))));
        case GateKind::gelu: {
            const auto e = erf_of(d, hn::Mul(x, hn::Set(d, 0.70710678118654752f)));
            return hn::Mul(hn::Mul(half, x), hn::Add(one, e));
        }
        case GateKind::gelu_tanh: {
            const auto cube = hn::Mul(hn::Mul(x, x), x);
            const auto inner = hn::Mul(hn::Set(d, 0.79788456080286536f),
                                       hn::MulAdd(hn::Set(d, 0.044715f), cube, x));
            return hn::Mul(hn::Mul(half, x), hn::Add(one, tanh_of(d, inner)));
        }
        // Not Max(), which may turn NaN into 0.
        case GateKind::relu: return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
        case GateKind::relu_squared: {
            const auto positive = hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
            return hn::Mul(positive, positive);
        }
    }
    return x;
}

void gate(const GateArgs& args, std::int64_t row) {
    const float* in = floats(args.gate) + row * args.gate_stride;
    const float* up = args.up == nullptr ? nullptr : floats(args.up) + row * args.up_stride;
    float* out = floats(args.out) + row * args.width;
    for_vectors(static_cast<std::size_t>(args.width),
                [&](std::size_t at, std::size_t count) HWY_ATTR {
                    auto value = activate(args.kind, load_some(in + at, count));
                    if (up != nullptr) value = hn::Mul(value, load_some(up + at, count));
                    store_some(value, out + at, count);
                });
}

void scale_and_cap(const ScaleCapArgs& args) {
    const F32 d;
    const auto scale = hn::Set(d, args.scale);
    const auto cap = hn::Set(d, args.cap);
    for_vectors(static_cast<std::size_t>(args.count),
                [&](std::size_t at, std::size_t count) HWY_ATTR {
                    auto value = hn::Mul(load_some(args.x + at, count), scale);
                    if (args.cap != 0) value = hn::Mul(cap, tanh_of(d, hn::Div(value, cap)));
                    store_some(value, args.x + at, count);
                });
}

void add_scaled(const AddArgs& args) {
    const F32 d;
    const auto scale = hn::Set(d, args.scale);
    const float* y = floats(args.y);
    for_vectors(static_cast<std::size_t>(args.count), [&](std::size_t at,
                                                          std::size_t count) HWY_ATTR {
        const auto sum = hn::MulAdd(load_some(y + at, count), scale, load_some(args.x + at, count));
        store_some(sum, args.x + at, count);
    });
}

/// Rotates a pair: a' = a c - b s, b' = b c + a s.
HWY_INLINE void rotate(float& a, float& b, float c, float s) {
    const float first = std::fma(a, c, -(b * s));
    b = std::fma(b, c, a * s);
    a = first;
}

void rope(const RopeArgs& args, std::int64_t row) {
    const std::int64_t half = args.rotary_dim / 2;
    const float* cos = args.cos + args.positions[row] * half;
    const float* sin = args.sin + args.positions[row] * half;
    for (std::int64_t head = 0; head < args.heads; ++head) {
        float* x = floats(args.x) + row * args.row_stride + head * args.head_dim;
        if (args.interleaved) {
            for (std::int64_t i = 0; i < half; ++i) {
                rotate(x[2 * i], x[2 * i + 1], cos[i], sin[i]);
            }
            continue;
        }
        for_vectors(static_cast<std::size_t>(half),
                    [&](std::size_t at, std::size_t count) HWY_ATTR {
                        const auto a = load_some(x + at, count);
                        const auto b = load_some(x + half + at, count);
                        const auto c = load_some(cos + at, count);
                        const auto s = load_some(sin + at, count);
                        store_some(hn::MulSub(a, c, hn::Mul(b, s)), x + at, count);
                        store_some(hn::MulAdd(b, c, hn::Mul(a, s)), x + half + at, count);
                    });
    }
}

HWY_INLINE hn::Vec<F32> load_as_float(const float* from) {
    return hn::LoadU(F32(), from);
}
HWY_INLINE hn::Vec<F32> load_as_float(const hwy::float16_t* from) {
    return hn::PromoteTo(F32(), hn::LoadU(hn::Rebind<hwy::float16_t, F32>(), from));
}
HWY_INLINE hn::Vec<F32> load_as_float(const std::uint16_t* from) {  // bf16
    const hn::Rebind<std::uint32_t, F32> du;
    const auto bits = hn::PromoteTo(du, hn::LoadU(hn::Rebind<std::uint16_t, F32>(), from));
    return hn::BitCast(F32(), hn::ShiftLeft<16>(bits));
}

HWY_INLINE void store_narrow(hn::Vec<F32> value, float* to) {
    hn::StoreU(value, F32(), to);
}
HWY_INLINE void store_narrow(hn::Vec<F32> value, hwy::float16_t* to) {
    const hn::Rebind<hwy::float16_t, F32> d16;
    hn::StoreU(hn::DemoteTo(d16, value), d16, to);
}
HWY_INLINE void store_narrow(hn::Vec<F32> value, std::uint16_t* to) {  // bf16
    const hn::Rebind<std::uint32_t, F32> du;
    const hn::Rebind<std::int32_t, F32> di;
    const hn::Rebind<std::uint16_t, F32> d16;
    const auto bits = hn::BitCast(du, value);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
    const auto rounded = hn::Add(hn::Add(bits, hn::Set(du, 0x7fff)), odd);
    const auto quiet = hn::Or(bits, hn::Set(du, 0x400000));
    const auto is_nan = hn::RebindMask(du, hn::IsNaN(value));
    const auto top = hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet, rounded));
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, top)), d16, to);
}

/// Converts whole vectors. Returns the number of values that they have.
template <typename From, typename To>
HWY_INLINE std::int64_t convert_run(const ConvertArgs& args) {
    const auto step = static_cast<std::int64_t>(kLanes);
    std::int64_t i = 0;
    for (; i + step <= args.count; i += step) {
        store_narrow(load_as_float(static_cast<const From*>(args.in) + i),
                     static_cast<To*>(args.out) + i);
    }
    return i;
}

template <typename From>
HWY_INLINE std::int64_t convert_from(const ConvertArgs& args) {
    switch (args.out_type) {
        case ElementType::f32: return convert_run<From, float>(args);
        case ElementType::f16: return convert_run<From, hwy::float16_t>(args);
        case ElementType::bf16: return convert_run<From, std::uint16_t>(args);
    }
    return 0;
}

std::int64_t convert_vectors(const ConvertArgs& args) {
    switch (args.in_type) {
        case ElementType::f32: return convert_from<float>(args);
        case ElementType::f16: return convert_from<hwy::float16_t>(args);
        case ElementType::bf16: return convert_from<std::uint16_t>(args);
    }
    return 0;
}

}  // namespace molink::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace molink::cpu {
HWY_EXPORT(rms_norm);
HWY_EXPORT(gate);
HWY_EXPORT(scale_and_cap);
HWY_EXPORT(add_scaled);
HWY_EXPORT(rope);
HWY_EXPORT(convert_vectors);

void rms_norm_row(const RmsNormArgs& args, std::int64_t row) {
    for (std::int64_t group = 0; group < args.groups; ++group) {
        HWY_DYNAMIC_DISPATCH(rms_norm)(args, row, group);
    }
}
void gate_row(const GateArgs& args, std::int64_t row) {
    HWY_DYNAMIC_DISPATCH(gate)(args, row);
}
void scale_cap(const ScaleCapArgs& args) {
    HWY_DYNAMIC_DISPATCH(scale_and_cap)(args);
}
void add(const AddArgs& args) {
    HWY_DYNAMIC_DISPATCH(add_scaled)(args);
}
void rope_row(const RopeArgs& args, std::int64_t row) {
    HWY_DYNAMIC_DISPATCH(rope)(args, row);
}

void add_bias_row(const AddBiasArgs& args, std::int64_t row) {
    AddArgs one;
    one.x = floats(args.x) + row * args.width;
    one.y = args.bias;
    one.count = args.width;
    add(one);
}

void convert(const ConvertArgs& args) {
    const auto read = [&](std::int64_t at) {
        if (args.in_type == ElementType::f32) return static_cast<const float*>(args.in)[at];
        const std::uint16_t bits = static_cast<const std::uint16_t*>(args.in)[at];
        return args.in_type == ElementType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
    };
    std::int64_t i = HWY_DYNAMIC_DISPATCH(convert_vectors)(args);
    for (; i < args.count; ++i) {
        const float value = read(i);
        if (args.out_type == ElementType::f32) {
            static_cast<float*>(args.out)[i] = value;
        } else {
            static_cast<std::uint16_t*>(args.out)[i] =
                args.out_type == ElementType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
        }
    }
}

void argmax_row(const ArgmaxArgs& args, std::int64_t row) {
    const float* x = args.x + row * args.width;
    if (!all_finite({x, static_cast<std::size_t>(args.width)})) {
        args.out[row] = -1;
        return;
    }
    std::int64_t best = 0;
    for (std::int64_t i = 1; i < args.width; ++i) {
        if (x[i] > x[best]) best = i;
    }
    args.out[row] = static_cast<std::int32_t>(best);
}

}  // namespace molink::cpu
#endif
