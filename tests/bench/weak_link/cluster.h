#pragma once

#include <memory>
#include <string>
#include <vector>

#include <molink/engine.h>

#include "cell.h"
#include "support/process.h"
#include "support/relay.h"

namespace molink::bench {

/// A head in this process and workers in their own, every link through the relay.
class BenchCluster {
public:
    /// Starts everything and waits until it serves. Throws std::runtime_error. `model`: the folder.
    BenchCluster(const Cell& cell, const std::string& model, const std::string& programs);
    ~BenchCluster();

    Engine& engine() { return *engine_; }
    test::Relay& relay() { return relay_; }
    /// The relayed ports, the head's first.
    const std::vector<int>& ports() const { return ports_; }
    /// Bytes through all relayed ports so far.
    std::uint64_t relayed_bytes() const;

private:
    int relay_port(const LinkShape& link, int target);

    test::Relay relay_;
    std::vector<int> ports_;
    std::unique_ptr<Engine> engine_;
    std::vector<std::unique_ptr<test::Process>> workers_;
};

/// Service times of a profile file. Throws std::runtime_error.
TimedProfile read_profile(const std::string& path);

}  // namespace molink::bench
