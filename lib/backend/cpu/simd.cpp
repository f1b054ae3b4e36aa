// The SIMD targets that this machine may use. Only targets with a fused multiply-add qualify,
// because others would round differently. Highway chooses the best one at the first call of a
// kernel. Tests select the others with use_simd_target().
#define HWY_WANT_AVX3_DL  // as in some kernels; the others then run as AVX3
#include <hwy/highway.h>

#include "backend/cpu/kernels.h"

namespace molink::cpu {
namespace {

constexpr std::int64_t kFused =
    HWY_AVX2 | HWY_AVX3 | HWY_AVX3_DL | HWY_NEON | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128;

std::int64_t usable() {
    return hwy::SupportedTargets() & HWY_TARGETS & kFused;
}

}  // namespace

std::vector<std::string_view> simd_targets() {
    std::vector<std::string_view> names;
    for (std::int64_t left = usable(); left != 0; left &= left - 1) {
        names.emplace_back(hwy::TargetName(left & -left));
    }
    return names;
}

std::string_view simd_target() {
    const std::vector<std::string_view> names = simd_targets();
    return names.empty() ? std::string_view() : names.front();
}

void use_simd_target(std::string_view name) {
    hwy::SetSupportedTargetsForTest(0);
    for (std::int64_t left = usable(); left != 0 && !name.empty(); left &= left - 1) {
        const std::int64_t target = left & -left;
        if (hwy::TargetName(target) == name) {
            // Worse targets stay enabled, because not every kernel is compiled for every target.
            hwy::SetSupportedTargetsForTest(usable() & ~(target - 1));
            break;
        }
    }
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace molink::cpu
