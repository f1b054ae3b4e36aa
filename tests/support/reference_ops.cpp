// Reference ops, written to be obviously right: libm functions, double, no blocking. The Q8_0
// product repeats the definition of the rounding (amax / 127, nearest even), because its results
// are compared with a tolerance far below the error of quantisation.
#include "support/reference_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/dtype.h"

namespace molink::test {
namespace {

constexpr std::int64_t kGroup = 32;

float element(const void* from, ElementType type, std::int64_t index) {
    if (type == ElementType::f32) return static_cast<const float*>(from)[index];
    const std::uint16_t bits = static_cast<const std::uint16_t*>(from)[index];
    return type == ElementType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

const float* floats(const void* values) {
    return static_cast<const float*>(values);
}

double activate(GateKind kind, double x) {
    switch (kind) {
        case GateKind::silu: return x / (1 + std::exp(-x));
        case GateKind::gelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
        case GateKind::gelu_tanh:
            return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
        case GateKind::relu: return std::max(x, 0.0);
        case GateKind::relu_squared: return std::max(x, 0.0) * std::max(x, 0.0);
    }
    return 0;
}

/// values = scale * bytes, group by group.
struct Quantised {
    std::vector<double> scales;
    std::vector<int> bytes;
};

Quantised quantise(const float* values, std::int64_t count, bool weights) {
    Quantised out;
    for (std::int64_t g = 0; g < count; g += kGroup) {
        float largest = 0;
        for (std::int64_t i = g; i < g + kGroup; ++i)
            largest = std::max(largest, std::fabs(values[i]));
        float scale = largest / 127.0f;
        if (weights) scale = f16_to_f32(f32_to_f16(scale));
        out.scales.push_back(scale);
        for (std::int64_t i = g; i < g + kGroup; ++i) {
            float exact = 0;
            if (weights && scale > 0) exact = std::clamp(values[i] / scale, -127.0f, 127.0f);
            if (!weights && largest > 0) exact = values[i] * (127.0f / largest);
            out.bytes.push_back(static_cast<int>(std::nearbyint(exact)));
        }
    }
    return out;
}

}  // namespace

std::vector<double> reference_embed(const EmbedArgs& args) {
    std::vector<double> out;
    for (std::int64_t r = 0; r < args.rows; ++r) {
        for (std::int64_t i = 0; i < args.hidden; ++i) {
            out.push_back(
                double{element(args.table, args.table_type, args.ids[r] * args.hidden + i)} *
                double{args.scale});
        }
    }
    return out;
}

std::vector<double> reference_rms_norm(const RmsNormArgs& args) {
    std::vector<double> out;
    for (std::int64_t r = 0; r < args.rows; ++r) {
        for (std::int64_t g = 0; g < args.groups; ++g) {
            const float* x = floats(args.x) + r * args.x_stride + g * args.width;
            double sum = 0;
            for (std::int64_t i = 0; i < args.width; ++i) sum += double{x[i]} * double{x[i]};
            const double root =
                std::sqrt(sum / static_cast<double>(args.width) + double{args.epsilon});
            for (std::int64_t i = 0; i < args.width; ++i) {
                out.push_back(double{x[i]} / root * double{args.weight[i]});
            }
        }
    }
    return out;
}

std::vector<double> reference_add(const AddArgs& args) {
    std::vector<double> out;
    for (std::int64_t i = 0; i < args.count; ++i) {
        out.push_back(double{args.x[i]} + double{floats(args.y)[i]} * double{args.scale});
    }
    return out;
}

std::vector<double> reference_add_bias(const AddBiasArgs& args) {
    std::vector<double> out;
    for (std::int64_t i = 0; i < args.rows * args.width; ++i) {
        out.push_back(double{floats(args.x)[i]} + double{args.bias[i % args.width]});
    }
    return out;
}

std::vector<double> reference_gate(const GateArgs& args) {
    std::vector<double> out;
    for (std::int64_t r = 0; r < args.rows; ++r) {
        for (std::int64_t i = 0; i < args.width; ++i) {
            const double value =
                activate(args.kind, double{floats(args.gate)[r * args.gate_stride + i]});
            const double up =
                args.up == nullptr ? 1.0 : double{floats(args.up)[r * args.up_stride + i]};
            out.push_back(value * up);
        }
    }
    return out;
}

std::vector<double> reference_rope(const RopeArgs& args) {
    std::vector<double> out;
    const std::int64_t half = args.rotary_dim / 2;
    for (std::int64_t r = 0; r < args.rows; ++r) {
        for (std::int64_t h = 0; h < args.heads; ++h) {
            const float* x = floats(args.x) + r * args.row_stride + h * args.head_dim;
            std::vector<double> rotated(x, x + args.head_dim);
            for (std::int64_t i = 0; i < half; ++i) {
                const std::int64_t first = args.interleaved ? 2 * i : i;
                const std::int64_t second = args.interleaved ? 2 * i + 1 : i + half;
                const double c = double{args.cos[args.positions[r] * half + i]};
                const double s = double{args.sin[args.positions[r] * half + i]};
                rotated[static_cast<std::size_t>(first)] =
                    double{x[first]} * c - double{x[second]} * s;
                rotated[static_cast<std::size_t>(second)] =
                    double{x[second]} * c + double{x[first]} * s;
            }
            out.insert(out.end(), rotated.begin(), rotated.end());
        }
    }
    return out;
}

std::vector<double> reference_scale_cap(const ScaleCapArgs& args) {
    std::vector<double> out;
    for (std::int64_t i = 0; i < args.count; ++i) {
        const double value = double{args.x[i]} * double{args.scale};
        out.push_back(args.cap == 0 ? value
                                    : double{args.cap} * std::tanh(value / double{args.cap}));
    }
    return out;
}

std::vector<std::int32_t> reference_argmax(const ArgmaxArgs& args) {
    std::vector<std::int32_t> out;
    for (std::int64_t r = 0; r < args.rows; ++r) {
        const float* x = args.x + r * args.width;
        const bool finite =
            std::all_of(x, x + args.width, [](float value) { return std::isfinite(value); });
        const auto best = static_cast<std::int32_t>(std::max_element(x, x + args.width) - x);
        out.push_back(finite ? best : -1);
    }
    return out;
}

float reference_round(float value, ElementType type) {
    if (type == ElementType::f16) return f16_to_f32(f32_to_f16(value));
    if (type == ElementType::bf16) return bf16_to_f32(f32_to_bf16(value));
    return value;
}

std::vector<double> reference_attention(const AttentionArgs& args,
                                        const std::vector<DenseKv>& sequences) {
    const std::int64_t dim = args.pages.head_dim;
    const std::int64_t kv_heads = args.pages.kv_heads;
    std::vector<double> out;
    for (std::int64_t r = 0; r < args.batch.rows; ++r) {
        const DenseKv& kv = sequences[static_cast<std::size_t>(args.batch.sequence_of_row[r])];
        const std::int64_t last = args.batch.positions[r];
        const std::int64_t first =
            args.window > 0 ? std::max<std::int64_t>(0, last - args.window + 1) : 0;
        for (std::int64_t h = 0; h < args.q_heads; ++h) {
            const std::int64_t kv_head = h / (args.q_heads / kv_heads);
            const float* q = floats(args.q) + r * args.q_stride + h * dim;
            const auto row = [&](const std::vector<float>& of, std::int64_t p) {
                return of.data() + (p * kv_heads + kv_head) * dim;
            };
            std::vector<double> weights;
            double largest = -std::numeric_limits<double>::infinity();
            for (std::int64_t p = first; p <= last; ++p) {
                double score = 0;
                for (std::int64_t i = 0; i < dim; ++i)
                    score += double{q[i]} * double{row(kv.k, p)[i]};
                score *= double{args.scale};
                if (args.soft_cap != 0) {
                    score = double{args.soft_cap} * std::tanh(score / double{args.soft_cap});
                }
                weights.push_back(score);
                largest = std::max(largest, score);
            }
            double total = 0;
            for (double& weight : weights) total += weight = std::exp(weight - largest);
            for (std::int64_t i = 0; i < dim; ++i) {
                double sum = 0;
                for (std::int64_t p = first; p <= last; ++p) {
                    sum += weights[static_cast<std::size_t>(p - first)] * double{row(kv.v, p)[i]};
                }
                out.push_back(sum / total);
            }
        }
    }
    return out;
}

std::vector<double> reference_matmul(const ReferenceMatmul& args) {
    std::vector<double> out;
    for (std::int64_t r = 0; r < args.rows; ++r) {
        for (std::int64_t n = 0; n < args.n; ++n) {
            double sum = 0;
            for (std::int64_t i = 0; i < args.k; ++i) {
                sum += double{args.x[r * args.k + i]} * double{args.w[n * args.k + i]};
            }
            out.push_back(sum);
        }
    }
    return out;
}

std::vector<double> reference_matmul_q8(const ReferenceMatmul& args) {
    const Quantised x = quantise(args.x, args.rows * args.k, false);
    const Quantised w = quantise(args.w, args.n * args.k, true);
    const auto at = [&](std::int64_t row, std::int64_t i) {
        return static_cast<std::size_t>(row * args.k + i);
    };
    std::vector<double> out;
    for (std::int64_t r = 0; r < args.rows; ++r) {
        for (std::int64_t n = 0; n < args.n; ++n) {
            double sum = 0;
            for (std::int64_t i = 0; i < args.k; ++i) {
                sum += x.scales[at(r, i) / kGroup] * x.bytes[at(r, i)] *
                       w.scales[at(n, i) / kGroup] * w.bytes[at(n, i)];
            }
            out.push_back(sum);
        }
    }
    return out;
}

}  // namespace molink::test
