// Rotary tables. Angles are float32 products of position and float32 frequency, as in the reference
// implementations. Cosine and sine are computed in double and rounded once. Llama 3.1 scaling keeps
// short wavelengths, divides the frequencies of long ones and interpolates between the two.
#include "model/rope_table.h"

#include <cmath>

namespace molink {
namespace {

constexpr double kTwoPi = 6.283185307179586;

double scale_llama3(double frequency, const RopeSpec& rope) {
    const double context = rope.original_context;
    const double wavelength = kTwoPi / frequency;
    if (wavelength > context / rope.low_freq_factor) return frequency / rope.factor;
    if (wavelength < context / rope.high_freq_factor) return frequency;
    const double smooth = (context / wavelength - rope.low_freq_factor) /
                          (rope.high_freq_factor - rope.low_freq_factor);
    return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

}  // namespace

std::vector<float> rope_frequencies(const RopeSpec& rope) {
    std::vector<float> frequencies(static_cast<std::size_t>(rope.rotary_dim / 2));
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        const double exponent = 2.0 * static_cast<double>(i) / rope.rotary_dim;
        double frequency = 1.0 / std::pow(rope.theta, exponent);
        if (rope.scaling == RopeScalingKind::linear) frequency /= rope.factor;
        if (rope.scaling == RopeScalingKind::llama3) frequency = scale_llama3(frequency, rope);
        frequencies[i] = static_cast<float>(frequency);
    }
    return frequencies;
}

RopeTable make_rope_table(const RopeSpec& rope, std::int32_t context) {
    const std::vector<float> frequencies = rope_frequencies(rope);
    RopeTable table;
    table.cos.reserve(frequencies.size() * static_cast<std::size_t>(context));
    table.sin.reserve(table.cos.capacity());
    for (std::int32_t position = 0; position < context; ++position) {
        for (float frequency : frequencies) {
            const float angle = static_cast<float>(position) * frequency;
            table.cos.push_back(static_cast<float>(std::cos(static_cast<double>(angle))));
            table.sin.push_back(static_cast<float>(std::sin(static_cast<double>(angle))));
        }
    }
    return table;
}

}  // namespace molink
