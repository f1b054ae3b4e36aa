#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <molink/engine.h>

#include "cell.h"
#include "support/process.h"
#include "support/relay.h"
#include "support/temp_dir.h"

namespace molink::bench {

/// A head in this process and workers in processes of their own. All links go through the relay.
class BenchCluster {
public:
    /// Starts everything and waits until the pipeline serves. `model`: folder of the model.
    /// `programs`: folder of molink-worker. Throws std::runtime_error.
    BenchCluster(const Cell& cell, const std::string& model, const std::string& programs);
    ~BenchCluster();

    Engine& engine() { return *engine_; }
    /// Returns the bytes through each relayed port so far, up and down. The head's port comes
    /// first.
    std::vector<std::array<std::uint64_t, 2>> link_bytes() const;
    /// Returns the CPU seconds so far of all threads of head, workers and relay that compute no
    /// layers.
    double handling_s() const;
    /// Returns the rate of a direction of a relayed port.
    double bytes_per_s(std::size_t port, std::size_t direction) const {
        return ports_[port].bytes_per_s[direction];
    }

private:
    struct Port {
        int number = 0;
        std::array<double, 2> bytes_per_s{};
    };
    int relay_port(const LinkShape& link, int target);
    std::string path_of(const std::string& name) const { return (keys_ / name).string(); }
    PublicKey make_key(const std::string& name) const;

    TempDir keys_;
    test::Relay relay_;
    std::vector<Port> ports_;
    std::unique_ptr<Engine> engine_;
    std::vector<std::unique_ptr<test::Process>> workers_;
};

inline constexpr std::int32_t kMaxStepTokens = 2048;  ///< also of a slice
inline constexpr std::int32_t kSpareRunning = 32;     ///< prompts that may run beside the streams

/// Returns a format of activations by name. Throws std::runtime_error.
DataType wire_type(const std::string& name);

/// Reads the service times in a profile. Throws std::runtime_error.
TimedProfile read_profile(const std::string& path);

}  // namespace molink::bench
