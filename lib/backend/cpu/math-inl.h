// Elementary functions for vectors, included once per SIMD target. They are polynomials with
// explicit fused multiply-adds, so that every target gives the same bits. Errors of exp and tanh
// are a few units in the last place.
#if defined(MOLINK_CPU_MATH_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef MOLINK_CPU_MATH_INL_H
#undef MOLINK_CPU_MATH_INL_H
#else
#define MOLINK_CPU_MATH_INL_H
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace molink::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// e^x with the polynomial of Cephes expf. Below -87.3 it is 0, above 88.72 infinity. NaN stays
/// NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_of(D d, V x) {
    const hn::RebindToSigned<D> di;
    const auto high = hn::Set(d, 88.722839f);
    const auto clamped = hn::Min(hn::Max(x, hn::Set(d, -87.3f)), high);
    const auto n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504088896341f)));
    auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped);
    r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
    auto p = hn::Set(d, 1.9875691500e-4f);
    p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
    p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
    p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
    p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
    p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
    p = hn::MulAdd(hn::Mul(p, r), r, hn::Add(r, hn::Set(d, 1.0f)));
    // Scales by two factors, because 2^128 is not a float, but the product may be.
    const auto whole = hn::ConvertTo(di, n);
    const auto half = hn::ShiftRight<1>(whole);
    const auto bias = hn::Set(di, 127);
    const auto scale1 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
    const auto scale2 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(whole, half), bias)));
    auto result = hn::Mul(hn::Mul(p, scale1), scale2);
    result = hn::IfThenElse(hn::Gt(x, high), hn::Inf(d), result);
    result = hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.3f)), result);
    return hn::IfThenElse(hn::IsNaN(x), x, result);  // x != x is false on some targets
}

/// tanh x = 1 - 2 / (e^2x + 1), with the sign of x.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh_of(D d, V x) {
    const auto one = hn::Set(d, 1.0f);
    const auto two = hn::Set(d, 2.0f);
    const auto magnitude = hn::Abs(x);
    const auto e = exp_of(d, hn::Mul(two, magnitude));
    const auto large = hn::Sub(one, hn::Div(two, hn::Add(e, one)));
    // Near zero the difference loses digits, so an odd polynomial is used there.
    const auto square = hn::Mul(x, x);
    auto p = hn::Set(d, -17.0f / 315.0f);
    p = hn::MulAdd(p, square, hn::Set(d, 2.0f / 15.0f));
    p = hn::MulAdd(p, square, hn::Set(d, -1.0f / 3.0f));
    const auto small = hn::MulAdd(hn::Mul(magnitude, square), p, magnitude);
    const auto result = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0.125f)), small, large);
    return hn::CopySign(result, x);
}

/// erf x after Abramowitz and Stegun 7.1.26; absolute error below 5e-7.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V erf_of(D d, V x) {
    const auto one = hn::Set(d, 1.0f);
    const auto magnitude = hn::Abs(x);
    const auto t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.3275911f), magnitude, one));
    auto p = hn::Set(d, 1.061405429f);
    p = hn::MulAdd(p, t, hn::Set(d, -1.453152027f));
    p = hn::MulAdd(p, t, hn::Set(d, 1.421413741f));
    p = hn::MulAdd(p, t, hn::Set(d, -0.284496736f));
    p = hn::MulAdd(p, t, hn::Set(d, 0.254829592f));
    const auto e = exp_of(d, hn::Neg(hn::Mul(magnitude, magnitude)));
    return hn::CopySign(hn::NegMulAdd(hn::Mul(p, t), e, one), x);
}

/// Sum of 16 virtual lanes in a fixed tree: adds lanes that are 8 apart, then 4, 2 and 1.
HWY_INLINE float sum16(const float* lanes) {
    float a[8];
    for (int i = 0; i < 8; ++i) a[i] = lanes[i] + lanes[i + 8];
    for (int i = 0; i < 4; ++i) a[i] = a[i] + a[i + 4];
    return (a[0] + a[2]) + (a[1] + a[3]);
}

}  // namespace molink::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
