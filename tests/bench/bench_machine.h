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

double median(std::vector<double> values);

/// As the system calls it.
std::string cpu_model();

/// Reads one large buffer with all threads of a pool.
class ReadBench {
public:
    ReadBench(Backend& backend, std::size_t bytes);
    /// GB/s of the best of three passes.
    double run(ThreadPool& pool);

private:
    std::unique_ptr<PinnedBuffer> buffer_;
    std::uint64_t* data_ = nullptr;
    std::size_t count_;
};

/// Which kernels OpenBLAS picked (OPENBLAS_CORETYPE overrides); empty: built without OpenBLAS.
std::string openblas_kernel();

/// Single-precision products of a 160m layer at 512 rows by OpenBLAS.
class SgemmBench {
public:
    SgemmBench();
    /// GFLOP/s over the four products of a layer; 0 without OpenBLAS.
    double run(int threads);

private:
    std::vector<float> x_;
    std::vector<float> w_;
    std::vector<float> y_;
};

}  // namespace molink::bench
