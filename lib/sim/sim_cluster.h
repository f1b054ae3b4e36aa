#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <molink/sim.h>

#include "engine/engine_core.h"
#include "node/head_node.h"
#include "node/worker_node.h"
#include "sim/sim_access.h"
#include "sim/sim_network.h"
#include "sim/sim_stage.h"
#include "sim/sim_tensors.h"

namespace molink::sim {

/// What the cluster of a study needs in addition to a scenario.
struct StudyParts {
    struct Node {
        StudyStage stage;
        NodeProfile profile;
        std::int64_t memory_bytes = 0;
        std::optional<LayerRange> layers;
        std::string host;  ///< host whose cores the stage shares; empty: it has its own
    };
    std::map<std::string, Node> nodes;
    PartitionModel model;
    std::int32_t hidden = 0;  ///< of the model; stages pass on SimScenario::hidden floats
    bool even_split = false;
    bool fixed_order = true;
    std::size_t max_frame_bytes = 0;
};

/// A head and its workers in virtual time: the production state machines over simulated transports
/// and stages. The driver sets `clock` and calls step(). Thread: one.
class SimCluster {
public:
    /// All arguments must outlive the cluster. check_scenario must have accepted the scenario.
    /// `policies`: as for simulate(). `study`: null unless the cluster is that of a study.
    SimCluster(const SimScenario& scenario, const SimPolicies& policies, RequestEventSink& events,
               const StudyParts* study = nullptr);
    ~SimCluster();

    SimClock clock;
    SimNetwork network;

    /// Who may join, in a scenario with keys.
    SimAccess& access() { return *access_; }
    HeadNode& head() { return *head_.node; }
    EngineCore& core() { return head_.node->pipeline().core(); }
    /// Makes the head due now. Call this after giving its engine something.
    void wake_head() { head_.transport->wake(); }

    /// Returns when the next node is due, or kNever.
    std::int64_t next_event_us();
    /// Runs every node that is due.
    void step();

    void start_worker(const std::string& name) { start_worker(name, name, std::nullopt); }
    /// Starts it with the key of host `key_of`, and with a join token if `pass` is given.
    void start_worker(const std::string& name, const std::string& key_of,
                      const std::optional<KeyPair>& pass);
    const WorkerNode& worker(const std::string& name) const { return *workers_.at(name).node; }
    /// Ends the process of a worker. `silent`: no connection is reset, as when a machine vanishes.
    void stop_worker(const std::string& name, bool silent);
    bool has_worker(const std::string& name) const { return workers_.contains(name); }
    /// Returns the names of the workers that have ended; they hold no stage any more.
    std::vector<std::string> finished_workers() const;
    /// Keeps a node from running before `until_us`.
    void freeze(const std::string& name, std::int64_t until_us);
    /// Makes the stage of a node take `factor` times its service times.
    void set_slowness(const std::string& name, double factor);
    /// Keep the stages of a worker from computing, or let them drop what arrives; see SimStage.
    void set_hanging(const std::string& name, bool hanging);
    void set_swallowing(const std::string& name, bool swallowing);
    /// Damages the files of a worker or restores them. It matters to stages that are loaded later,
    /// also when the worker has restarted.
    void set_damaged(const std::string& name, bool damaged);

    /// Returns the first wrong page that a stage has read, as a text, or an empty text.
    std::string violation() const;
    /// Returns the largest number of sequences that a stage of the current epoch knows.
    std::size_t known_sequences() const;
    /// Returns the bytes that were sent again over the links that the head knows.
    std::uint64_t resent_bytes() const;

private:
    template <typename Node>
    struct Host {
        std::vector<std::unique_ptr<SimStage>> stages;  // one for each device
        std::unique_ptr<SimTransport> transport;
        std::unique_ptr<Node> node;
        std::unique_ptr<ChannelHub> hub;
        std::int64_t frozen_until_us = 0;
        /// The earliest event of transport, node and stage. It changes only when the host steps,
        /// which polls the transport, or when something reaches the transport.
        std::int64_t due_us = 0;

        std::int64_t next_event_us();
        void step(std::int64_t now_us);
        std::vector<StageExecutor*> executors() const;
        std::string violation() const;
        std::size_t known_sequences(PipelineEpoch epoch) const;
    };

    const SimNode& node_of(const std::string& name) const;
    NodeIdentity identity_of(const std::string& name) const;
    std::vector<std::unique_ptr<SimStage>> make_stages(const std::string& name) const;
    std::unique_ptr<ChannelHub> make_hub(SimTransport& transport, HubSink& sink);
    HeadConfig head_config();
    HeadPolicies head_policies() const;
    EngineCoreOptions core_options() const;
    void make_head(RequestEventSink& events);

    const SimScenario& scenario_;
    const SimPolicies& policies_;
    const StudyParts* study_;
    std::shared_ptr<SimAccess> access_;
    SimTensorCheck tensors_;
    std::set<std::string> damaged_;  // workers
    Host<HeadNode> head_;
    std::map<std::string, Host<WorkerNode>> workers_;
    std::vector<std::unique_ptr<SimTransport>> ghosts_;  // transports of machines that vanished
    std::uint64_t next_hub_seed_ = 1;
    std::string violation_;  // the first of a stage that is gone
};

/// Returns the names of the nodes of a scenario that can hold a stage.
std::vector<std::string> stage_nodes(const SimScenario& scenario);

/// Make the scheduler or the transmit policy: from `policies`, or by the scenario's name when it is
/// empty there. check_scenario must have accepted the scenario.
std::unique_ptr<Scheduler> make_scheduler(const SimScenario& scenario, const SimPolicies& policies);
std::unique_ptr<TransmitPolicy> make_transmit(const SimScenario& scenario,
                                              const SimPolicies& policies);

}  // namespace molink::sim
