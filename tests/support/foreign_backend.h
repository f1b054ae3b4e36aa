#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <molink/status.h>

#include "backend/backend.h"

namespace molink::test {

/// A device that is as unlike the host as the contract of a backend permits. The host cannot read
/// or write its memory: an address of it faults. Work is done late, by a thread of the device, and
/// in an order between streams that nobody asked for. What is uninitialised is NaN. Addresses that
/// are not the device's, or not of pinned memory, are errors. Ops are those of the CPU, so that
/// results have the CPU's bits.
struct ForeignOptions {
    std::string name = "foreign";
    std::string device = "0";
    std::int64_t memory_bytes = std::int64_t{256} << 20;
    int threads = 1;
    /// Calls that stay behind until somebody waits for them; negative: all.
    int lag = -1;
    /// The fail_at-th call of this op fails, counted from 1 on the whole device. Empty: none.
    std::string failing_op;
    int fail_at = 1;
};

std::unique_ptr<Backend> make_foreign_backend(const ForeignOptions& options);

/// Registers it under `options.name`, with the devices "0", which does nothing before it must, and
/// "1", which lags by a few calls. A name that is known stays what it was.
void register_foreign_backend(const ForeignOptions& options = {});

}  // namespace molink::test
