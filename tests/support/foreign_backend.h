#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <molink/status.h>

#include "backend/backend.h"

namespace molink::test {

/// A device that is as unlike the host as the contract of a backend permits. The host cannot read
/// or write its memory: an access faults. A thread of the device does the work, late and in an
/// unusual order between streams. Uninitialised memory holds NaN. An op whose address is not of the
/// device, or a copy whose host memory is not pinned, is an error. Ops are those of the CPU, so
/// that results have the CPU's bits.
struct ForeignOptions {
    std::string name = "foreign";
    std::string device = "0";
    std::int64_t memory_bytes = std::int64_t{256} << 20;
    int threads = 1;
    /// Number of calls that a stream leaves undone until somebody waits for them; negative: all.
    int lag = -1;
    /// Call number `fail_at` of this op fails, counted from 1 on the whole device. Empty: none.
    std::string failing_op;
    int fail_at = 1;
};

std::unique_ptr<Backend> make_foreign_backend(const ForeignOptions& options);

/// Registers a foreign backend as `options.name` with two devices: "0" does nothing before somebody
/// waits for it, and "1" lags by a few calls. Does nothing if the name is registered already.
void register_foreign_backend(const ForeignOptions& options = {});

}  // namespace molink::test
