#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/thread_pool.h"

namespace molink::bench {

inline double now_s() {
    using Seconds = std::chrono::duration<double>;
    return Seconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Returns the median, or 0 when there are no values.
double median(std::vector<double> values);

/// Returns the name of the CPU as the system reports it.
std::string cpu_model();

/// Reads one large buffer with all threads of a pool.
class ReadBench {
public:
    ReadBench(Backend& backend, std::size_t bytes);
    /// Returns the GB/s of the fastest of three passes; 0 when memory is short.
    double run(ThreadPool& pool);

private:
    std::unique_ptr<PinnedBuffer> buffer_;
    std::uint64_t* data_ = nullptr;
    std::size_t count_;
};

/// Returns which kernels OpenBLAS has chosen (OPENBLAS_CORETYPE overrides it). Empty: built without
/// it.
std::string openblas_kernel();

/// Runs the single-precision products of a 160m layer with 512 rows in OpenBLAS.
class SgemmBench {
public:
    SgemmBench();
    /// Returns the GFLOP/s over the four products of a layer; 0 without OpenBLAS.
    double run(int threads);

private:
    std::vector<float> x_;
    std::vector<float> w_;
    std::vector<float> y_;
};

}  // namespace molink::bench
