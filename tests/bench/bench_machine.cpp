// Measures what the machine can do in the same run as what MoLink does with it: reading memory, and
// products in OpenBLAS. Shares of these can be compared between machines, and between busy and idle
// machines; milliseconds cannot.
#include "bench_machine.h"

#include <algorithm>
#include <fstream>

#ifdef MOLINK_BENCH_OPENBLAS
#include <cblas.h>
#endif

namespace molink::bench {
namespace {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
__attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#endif
std::uint64_t
// Folds `count` values as four parallel streams, which keep more cache lines in flight than one.
fold(const std::uint64_t* data, std::size_t count) {
    constexpr std::size_t kStreams = 4;
    constexpr std::size_t kLanes = 16;
    std::uint64_t lanes[kStreams][kLanes] = {};
    const std::size_t part = count / kStreams;
    for (std::size_t i = 0; i + kLanes <= part; i += kLanes) {
        for (std::size_t s = 0; s < kStreams; ++s) {
            for (std::size_t j = 0; j < kLanes; ++j) lanes[s][j] ^= data[s * part + i + j];
        }
    }
    std::uint64_t all = 0;
    for (const auto& stream : lanes) {
        for (const std::uint64_t lane : stream) all ^= lane;
    }
    return all;
}

struct Shape {
    int n, k;
};
constexpr Shape kLayer[] = {{2304, 768}, {768, 768}, {4096, 768}, {768, 2048}};
constexpr int kRows = 512;

}  // namespace

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::string cpu_model() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
    }
    return "unknown";
}

ReadBench::ReadBench(Backend& backend, std::size_t bytes) : count_(bytes / 8) {
    auto buffer = backend.allocate_host(bytes);
    if (!buffer) return;
    buffer_ = std::move(*buffer);
    data_ = static_cast<std::uint64_t*>(buffer_->data());
    std::fill_n(data_, count_, 0x0123456789abcdefull);
}

double ReadBench::run(ThreadPool& pool) {
    constexpr std::size_t kPiece = std::size_t{1} << 17;  // 1 MiB
    if (data_ == nullptr) return 0;
    std::atomic<std::uint64_t> sum{0};
    double best_s = 1e9;
    for (int pass = 0; pass < 3; ++pass) {
        const double begin_s = now_s();
        pool.parallel_for(count_ / kPiece, 1, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i) sum ^= fold(data_ + i * kPiece, kPiece);
        });
        best_s = std::min(best_s, now_s() - begin_s);
    }
    data_[0] ^= sum.load() & 1;  // keeps the reads
    return static_cast<double>(count_ * 8) / best_s / 1e9;
}

#ifdef MOLINK_BENCH_OPENBLAS
std::string openblas_kernel() {
    return openblas_get_corename();
}

SgemmBench::SgemmBench()
    : x_(std::size_t{kRows} * 2048, 0.5f),
      w_(std::size_t{4096} * 768, 0.25f),
      y_(std::size_t{kRows} * 4096) {}

double SgemmBench::run(int threads) {
    openblas_set_num_threads(threads);
    double flops = 0;
    const double begin_s = now_s();
    for (const Shape& shape : kLayer) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, kRows, shape.n, shape.k, 1.0f,
                    x_.data(), shape.k, w_.data(), shape.k, 0.0f, y_.data(), shape.n);
        flops += 2.0 * kRows * shape.n * shape.k;
    }
    return flops / (now_s() - begin_s) / 1e9;
}
#else
std::string openblas_kernel() {
    return {};
}
SgemmBench::SgemmBench() = default;
double SgemmBench::run(int) {
    return 0;
}
#endif

}  // namespace molink::bench
